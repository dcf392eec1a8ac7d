"""Kernel maps: for each output site and filter offset of a sparse convolution, the input site.

Sites are stored as packed int64 keys in lexicographic order of (batch, x, y, z), so that a neighbour's key is found by
adding a constant. Filter offsets are numbered as in SparseConvNet, the first coordinate slowest: for a 3x3x3
submanifold filter `k = 9(dx+1) + 3(dy+1) + (dz+1)`, whose input site is output + d; for filter 2, stride 2
`k = 4(x&1) + 2(y&1) + (z&1)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from kidneyseg.sparse import native
from kidneyseg.sparse._checks import check_rows, check_size

# Empty cells around the sites on every side, so that key + offset never wraps into the next row: half of the largest
# submanifold filter (5).
PADDING = 2


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

    def pack(self, coords: Tensor) -> Tensor:
        """Keys int64 (N,) of coords int64 (N, 3) or (N, 4): x, y, z and, in an optional fourth column, batch."""
        x, y, z, *batch = coords.unbind(1)
        keys = torch.add(z, y, alpha=self.z_size).add_(x, alpha=self.y_size * self.z_size)
        for index in batch:
            keys.add_(index, alpha=self.x_size * self.y_size * self.z_size)
        return keys.add_(self.shift(PADDING, PADDING, PADDING))

    def pack_in_order(self, coords: Tensor) -> tuple[Tensor, bool]:
        """`pack`, and whether the keys increase strictly."""
        if len(coords) and native.supports(coords):
            return native.pack(coords.contiguous(), self, PADDING)
        keys = self.pack(coords)
        return keys, len(keys) < 2 or bool((keys[1:] > keys[:-1]).all())

    def unpack(self, keys: Tensor) -> Tensor:
        """Coords int64 (N, 4), x, y, z, batch, of keys int64 (N,)."""
        rest, z = keys // self.z_size, keys % self.z_size
        rest, y = rest // self.y_size, rest % self.y_size
        batch, x = rest // self.x_size, rest % self.x_size
        return torch.stack([x - PADDING, y - PADDING, z - PADDING, batch], dim=1)

    def shift(self, dx: int, dy: int, dz: int) -> int:
        """The difference between the keys of a site and of the site at (dx, dy, dz) from it."""
        return (dx * self.y_size + dy) * self.z_size + dz

    def coarser(self) -> Packing:
        """The packing of the next coarser level, whose coordinates are halved."""
        x, y, z = ((size - 2 * PADDING + 1) // 2 for size in (self.x_size, self.y_size, self.z_size))
        return Packing.around((x, y, z))


class KernelMap:
    """The kernel map of a convolution, as a table for the torch kernels and as a plan for the native ones.

    Args:
        table: makes int32 (N, K), the input row for each output row and filter offset, -1 where there is none.
        plan: makes the native kernels' plan of the same map.
    """

    def __init__(self, table: Callable[[], Tensor], plan: Callable[[], native.Plan]) -> None:
        self._make_table, self._make_plan = table, plan
        self._plan: native.Plan | None = None

    @cached_property
    def table(self) -> Tensor:
        """int32 (N, K); made on first use."""
        return self._make_table()

    @property
    def plan(self) -> native.Plan:
        """The plan for the instruction set in use; made on first use."""
        if self._plan is None or self._plan.instruction_set != native.instruction_set():
            self._plan = self._make_plan()
        return self._plan


class ParentMap(KernelMap):
    """The kernel map from coarse to fine sites: every output row reads one input row.

    Attributes:
        parent: int32 (N,), the input row of each output row.
        slot: int32 (N,), its filter offset.
        children: the transposed map.
    """

    def __init__(self, parent: Tensor, slot: Tensor, children: KernelMap) -> None:
        # Neither may refer to this object: a reference cycle would keep the map until the next garbage collection.
        super().__init__(partial(_parent_table, parent, slot), partial(native.Plan.of_parents, parent, slot))
        self.parent, self.slot, self.children = parent, slot, children


@dataclass(frozen=True)
class Downsampling:
    """The kernel maps between a level and the next coarser one (filter 2, stride 2)."""

    coarse: Level  #: the coarser level; its sites are floor(c / 2) of the fine ones
    children: KernelMap  #: from fine to coarse: the fine row for each coarse row and offset
    parents: ParentMap  #: from coarse to fine: the coarse row of each fine row, and its offset


class Level:
    """The active sites of one resolution, with their kernel maps, which are made on first use.

    Attributes:
        keys: int64 (N,), strictly increasing.
        packing: the relation of keys to coordinates.
    """

    def __init__(self, keys: Tensor, packing: Packing) -> None:
        check_rows(len(keys))
        self.keys = keys
        self.packing = packing
        self._neighbours: dict[int, KernelMap] = {}
        self._down: Downsampling | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def coords(self) -> Tensor:
        """int64 (N, 4): x, y, z, batch of each row."""
        return self.packing.unpack(self.keys)

    def neighbours(self, size: int = 3) -> KernelMap:
        """The kernel map of a submanifold filter of width 1, 3 or 5."""
        check_size(size)
        if size not in self._neighbours:
            build = native.neighbour_table if native.supports(self.keys) else neighbour_table
            sites = (self.keys, self.packing.y_size, self.packing.z_size, size)
            self._neighbours[size] = KernelMap(lambda: build(*sites), lambda: native.Plan.of_neighbours(*sites))
        return self._neighbours[size]

    def down(self) -> Downsampling:
        """The next coarser level and the kernel maps to and from it."""
        if self._down is None:
            build = native.coarsen if native.supports(self.keys) else coarsen
            packing = self.packing.coarser()
            keys, parent, slot, table = build(self.keys, self.packing, packing)
            children = KernelMap(lambda: table, lambda: native.Plan.of_table(table))
            self._down = Downsampling(Level(keys, packing), children, ParentMap(parent, slot, children))
        return self._down


def extent(coords: Tensor) -> tuple[list[int], list[int]]:
    """Smallest and largest value of each column of coords int64 (N, 3) or (N, 4), N > 0."""
    if native.supports(coords):
        return native.extent(coords.contiguous())
    ends = [end for column in coords.unbind(1) for end in column.aminmax()]
    both: list[int] = torch.stack(ends).tolist()  # one synchronisation with a GPU
    return both[0::2], both[1::2]


def neighbour_table(keys: Tensor, y_size: int, z_size: int, size: int = 3) -> Tensor:
    """Submanifold neighbours int32 (N, size³) in plain torch, -1 where there is none.

    Only the first half of the offsets is searched: the relation is symmetric, so a hit also fills its mirror image. One
    binary search covers a z-run of `size` offsets, because the rows after the first hit are the next in z.

    Args:
        keys: int64 (N,), strictly increasing.
        y_size: of the packing.
        z_size: of the packing.
        size: width of the filter.
    """
    half, volume, count = size // 2, size**3, len(keys)
    # An extra last row takes the sites without a neighbour: to select the others would make the host wait for a GPU.
    table = torch.full((count + 1, volume), -1, dtype=torch.int32, device=keys.device)
    if count == 0:
        return table[:0]
    rows = torch.arange(count, dtype=torch.int32, device=keys.device)
    table[:count, volume // 2] = rows
    for run in range(size * size // 2 + 1):
        dx, dy = run // size - half, run % size - half
        first = keys + ((dx * y_size + dy) * z_size - half)
        position = torch.searchsorted(keys, first)
        for dz in range(size):
            k = run * size + dz
            if k >= volume // 2:
                break
            inside = position.clamp(max=count - 1)
            hit = keys[inside] == first + dz
            table[:count, k] = torch.where(hit, inside, -1)
            table[torch.where(hit, inside, count), volume - 1 - k] = rows
            position = position + hit
    return table[:count]


def coarsen(keys: Tensor, fine: Packing, coarse: Packing) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The next coarser level and the kernel map of filter 2, stride 2 in plain torch; see `native.coarsen`."""
    coords = fine.unpack(keys)
    x, y, z = (coords[:, :3] & 1).unbind(1)
    slot = (4 * x + 2 * y + z).int()
    coords[:, :3] //= 2
    coarse_keys, parent = torch.unique(coarse.pack(coords), return_inverse=True)
    children = torch.full((len(coarse_keys), 8), -1, dtype=torch.int32, device=keys.device)
    children[parent, slot.long()] = torch.arange(len(keys), dtype=torch.int32, device=keys.device)
    return coarse_keys, parent.int(), slot, children


def _parent_table(parent: Tensor, slot: Tensor) -> Tensor:
    table = torch.full((len(parent), 8), -1, dtype=torch.int32, device=parent.device)
    return table.scatter_(1, slot.long()[:, None], parent[:, None])
