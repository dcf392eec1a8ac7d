"""Kernel maps: for each output site and filter offset of a sparse convolution, the input site.

Sites are stored as packed int64 keys in lexicographic order of (batch, x, y, z), so that a neighbour's key is found by
adding a constant. Filter offsets are numbered as in SparseConvNet, the first coordinate slowest: for a 3x3x3
submanifold filter `k = 9(dx+1) + 3(dy+1) + (dz+1)`, whose input site is output + d; for filter 2, stride 2
`k = 4(x&1) + 2(y&1) + (z&1)`.

Keys and tables are arrays where the native kernels make them, and tensors where torch does (`torch_maps`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Generic, Protocol, TypeVar

from kidneyseg.sparse import native
from kidneyseg.sparse._checks import check_rows, check_size

# Empty cells around the sites on every side, so that key + offset never wraps into the next row: half of the largest
# submanifold filter (5).
PADDING = 2

A = TypeVar("A")  # NDArray or Tensor


@dataclass(frozen=True)
class Packing:
    """How (batch, x, y, z) becomes one int64: `((batch * x_size + x) * y_size + y) * z_size + z`, padding added."""

    x_size: int
    y_size: int
    z_size: int

    @staticmethod
    def around(extent: tuple[int, int, int]) -> Packing:
        """The packing for coordinates 0 ... extent-1."""
        x, y, z = (size + 2 * PADDING for size in extent)
        return Packing(x, y, z)

    def pack(self, coords: Any) -> Any:
        """Keys int64 (N,) of coords int64 (N, 3) or (N, 4): x, y, z and, in an optional fourth column, batch."""
        x, y, z, *batch = (coords[:, axis] for axis in range(coords.shape[1]))
        keys = (x * self.y_size + y) * self.z_size + z
        for index in batch:
            keys += index * (self.x_size * self.y_size * self.z_size)
        keys += self.shift(PADDING, PADDING, PADDING)
        return keys

    def unpack(self, keys: Any) -> tuple[Any, Any, Any, Any]:
        """x, y, z and batch, int64 (N,) each, of keys int64 (N,)."""
        rest, z = keys // self.z_size, keys % self.z_size
        rest, y = rest // self.y_size, rest % self.y_size
        batch, x = rest // self.x_size, rest % self.x_size
        return x - PADDING, y - PADDING, z - PADDING, batch

    def shift(self, dx: int, dy: int, dz: int) -> int:
        """The difference between the keys of a site and of the site at (dx, dy, dz) from it."""
        return (dx * self.y_size + dy) * self.z_size + dz

    def coarser(self) -> Packing:
        """The packing of the next coarser level, whose coordinates are halved."""
        x, y, z = ((size - 2 * PADDING + 1) // 2 for size in (self.x_size, self.y_size, self.z_size))
        return Packing.around((x, y, z))


class Tables(Protocol[A]):
    """What makes the tables of kernel maps: the module `native` for arrays, `torch_maps` for tensors."""

    def neighbour_table(self, keys: A, y_size: int, z_size: int, size: int) -> A:
        """Submanifold neighbours int32 (N, size³)."""

    def coarsen(self, keys: A, fine: Packing, coarse: Packing) -> tuple[A, A, A, A]:
        """Coarse keys (Nc,), parent and slot int32 (N,), children int32 (Nc, 8)."""

    def parent_table(self, parent: A, slot: A) -> A:
        """The table int32 (N, 8) of rows that read parent[i] under the offset slot[i]."""


class KernelMap(Generic[A]):
    """The kernel map of a convolution, as a table for the torch kernels and as a plan for the native ones.

    Args:
        table: makes int32 (N, K), the input row for each output row and filter offset, -1 where there is none.
        plan: makes the native kernels' plan of the same map.
    """

    def __init__(self, table: Callable[[], A], plan: Callable[[], native.Plan]) -> None:
        self._make_table, self._make_plan = table, plan
        self._plan: native.Plan | None = None

    @cached_property
    def table(self) -> A:
        """int32 (N, K); made on first use."""
        return self._make_table()

    @property
    def plan(self) -> native.Plan:
        """The plan for the instruction set in use; made on first use, and only for maps of arrays."""
        if self._plan is None or self._plan.instruction_set != native.instruction_set():
            self._plan = self._make_plan()
        return self._plan


class ParentMap(KernelMap[A]):
    """The kernel map from coarse to fine sites: every output row reads one input row.

    Attributes:
        parent: int32 (N,), the input row of each output row.
        slot: int32 (N,), its filter offset.
        children: the transposed map.
    """

    def __init__(self, parent: A, slot: A, children: KernelMap[A], tables: Tables[A]) -> None:
        # Neither may refer to this object: a reference cycle would keep the map until the next garbage collection.
        # `plan` is asked for only by the native kernels, whose maps are of arrays; which A is, mypy cannot know here.
        plan: Any = partial(native.Plan.of_parents, parent, slot)  # type: ignore[arg-type]
        super().__init__(partial(tables.parent_table, parent, slot), plan)
        self.parent, self.slot, self.children = parent, slot, children


@dataclass(frozen=True)
class Downsampling(Generic[A]):
    """The kernel maps between a level and the next coarser one (filter 2, stride 2)."""

    coarse: Level[A]  #: the coarser level; its sites are floor(c / 2) of the fine ones
    children: KernelMap[A]  #: from fine to coarse: the fine row for each coarse row and offset
    parents: ParentMap[A]  #: from coarse to fine: the coarse row of each fine row, and its offset


class Level(Generic[A]):
    """The active sites of one resolution, with their kernel maps, which are made on first use.

    Args:
        keys: int64 (N,), strictly increasing.
        packing: the relation of keys to coordinates.
        tables: for keys of this kind.
    """

    def __init__(self, keys: A, packing: Packing, tables: Tables[A]) -> None:
        self.keys, self.packing, self._tables = keys, packing, tables
        check_rows(len(self))
        self._neighbours: dict[int, KernelMap[A]] = {}
        self._down: Downsampling[A] | None = None

    def __len__(self) -> int:
        keys: Any = self.keys
        return len(keys)

    def neighbours(self, size: int = 3) -> KernelMap[A]:
        """The kernel map of a submanifold filter of width 1, 3 or 5."""
        check_size(size)
        if size not in self._neighbours:
            keys: Any = self.keys
            sites = (keys, self.packing.y_size, self.packing.z_size, size)
            table = partial(self._tables.neighbour_table, *sites)
            self._neighbours[size] = KernelMap(table, lambda: native.Plan.of_neighbours(*sites))
        return self._neighbours[size]

    def mirrored(self, depth: int) -> Level[A]:
        """The sites for `native.conv_into(mirrored=True)`, sharing the kernel maps that are the same in a mirror.

        A mirrored submanifold convolution reads the map of the sites as they are. A coarser level's sites depend on
        where the pairs of cells begin along x. They begin at the last cell in the mirror image, so the sites move along
        x until a cell of the coarsest level ends there; what moved by whole pairs is shared with this level.

        Args:
            depth: how many coarser levels there are at most.

        Raises:
            ValueError: for sites of several batches, or that span more cells than a key can number.
        """
        keys: Any = self.keys
        dx = -(self.packing.x_size - 2 * PADDING) % 2**depth
        plane = self.packing.y_size * self.packing.z_size
        if len(self) and keys[-1] >= self.packing.x_size * plane:
            raise ValueError("only the sites of one batch can be mirrored")
        if (self.packing.x_size + dx) * plane >= 2**62:
            raise ValueError("the sites span more cells than an int64 key can number")
        return self._moved(dx)

    def _moved(self, dx: int) -> Level[A]:
        """The sites, all of batch 0, `dx` cells further along x, with the maps that stay the same."""
        keys: Any = self.keys
        packing = Packing(self.packing.x_size + dx, self.packing.y_size, self.packing.z_size)
        moved = Level(keys + packing.shift(dx, 0, 0) if dx else self.keys, packing, self._tables)
        moved._neighbours = self._neighbours
        if self._down is not None and dx % 2 == 0:
            down = self._down
            moved._down = Downsampling(down.coarse._moved(dx // 2), down.children, down.parents)
        return moved

    def release(self) -> None:
        """Free the kernel maps; those that are asked for again are made again."""
        self._neighbours.clear()
        self._down = None

    def down(self) -> Downsampling[A]:
        """The next coarser level and the kernel maps to and from it."""
        if self._down is None:
            packing, tables = self.packing.coarser(), self._tables
            keys, parent, slot, children = tables.coarsen(self.keys, self.packing, packing)
            table: Any = children
            to_coarse = KernelMap(lambda: children, lambda: native.Plan.of_table(table))
            to_fine = ParentMap(parent, slot, to_coarse, tables)
            self._down = Downsampling(Level(keys, packing, tables), to_coarse, to_fine)
        return self._down
