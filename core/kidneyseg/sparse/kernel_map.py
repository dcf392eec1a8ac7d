"""Which active site feeds which: the maps that every sparse convolution runs on.

Sites are kept as packed int64 keys in lexicographic order of (batch, x, y, z), so a neighbour is found by adding a
constant to a key. Each level carries its maps from the first time they are asked for, and a U-Net asks each of them
several times. Filter offsets count as in SparseConvNet, the first coordinate slowest: for a 3x3x3 submanifold filter
`k = 9(dx+1) + 3(dy+1) + (dz+1)`, whose input site is output + d; for filter 2, stride 2 `k = 4(x&1) + 2(y&1) + (z&1)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from kidneyseg.sparse import native

# Empty cells kept around the sites on every side, so that key + offset never wraps into the next row: half of the
# largest submanifold filter (5).
PADDING = 2
_MAX_SITES = 2**31 - 1


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
        """Keys int64 (N,) of coords int64 (N, 3) or (N, 4): x, y, z and, where there is a fourth column, batch."""
        x, y, z, *batch = coords.unbind(1)
        keys = torch.add(z, y, alpha=self.z_size).add_(x, alpha=self.y_size * self.z_size)
        for index in batch:
            keys.add_(index, alpha=self.x_size * self.y_size * self.z_size)
        return keys.add_(self.shift(PADDING, PADDING, PADDING))

    def pack_in_order(self, coords: Tensor) -> tuple[Tensor, bool]:
        """`pack`, and whether the keys increase strictly."""
        if len(coords) and native.serves(coords):
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
        """What to add to a key to reach the site d away."""
        return (dx * self.y_size + dy) * self.z_size + dz

    def coarser(self) -> Packing:
        """The packing of the level above, whose coordinates are halved."""
        x, y, z = ((size - 2 * PADDING + 1) // 2 for size in (self.x_size, self.y_size, self.z_size))
        return Packing.around((x, y, z))


class KernelMap:
    """The map of a convolution that sums rows of its input, in the form that the kernels of a device want.

    Args:
        table: makes int32 (N, K), the input row for each output row and filter offset, -1 where there is none.
        plan: makes the native kernels' plan of the same map.
    """

    def __init__(self, table: Callable[[], Tensor], plan: Callable[[], native.Plan]) -> None:
        self._make_table, self._make_plan = table, plan
        self._plan: native.Plan | None = None

    @cached_property
    def table(self) -> Tensor:
        """int32 (N, K); made when it is first asked for."""
        return self._make_table()

    @property
    def plan(self) -> native.Plan:
        """The plan for the instruction set in use; made when it is first asked for."""
        if self._plan is None or self._plan.instruction_set != native.instruction_set():
            self._plan = self._make_plan()
        return self._plan


class Parents(KernelMap):
    """The map that hands each coarse row down to its children: every output row reads one input row.

    Attributes:
        parent: int32 (N,), the input row. slot: int32 (N,), the filter offset. children: the same map read backwards.
    """

    def __init__(self, parent: Tensor, slot: Tensor, children: KernelMap) -> None:
        # Neither may hold this object: in a circle of references a map would stay until Python looks for garbage.
        super().__init__(partial(_parent_table, parent, slot), partial(native.Plan.of_parents, parent, slot))
        self.parent, self.slot, self.children = parent, slot, children


@dataclass(frozen=True)
class Downsampling:
    """The map between a level and the one above it (filter 2, stride 2), in both directions.

    Attributes:
        coarse: the level above; its sites are floor(c / 2) of this level's.
        children: this level's row for each coarse row and k, where there is one.
        parents: the coarse row of each of this level's rows, and the k under which it hangs there.
    """

    coarse: Level
    children: KernelMap
    parents: Parents


class Level:
    """The active sites of one resolution with their maps.

    Attributes:
        keys: int64 (N,), strictly increasing.
        packing: how keys relate to coordinates.
    """

    def __init__(self, keys: Tensor, packing: Packing) -> None:
        if len(keys) > _MAX_SITES:
            raise ValueError(f"{len(keys)} sites are more than the {_MAX_SITES} that one run can hold; split the input")
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
        """The row of each site's neighbour for every filter offset."""
        if size % 2 == 0 or size > 2 * PADDING + 1:
            raise ValueError(f"a submanifold filter must be 1, 3 or 5 wide, not {size}")
        if size not in self._neighbours:
            build = native.neighbour_table if native.serves(self.keys) else neighbour_table
            where = (self.keys, self.packing.y_size, self.packing.z_size, size)
            self._neighbours[size] = KernelMap(lambda: build(*where), lambda: native.Plan.of_neighbours(*where))
        return self._neighbours[size]

    def down(self) -> Downsampling:
        """The map to the next coarser level."""
        if self._down is None:
            build = native.coarsen if native.serves(self.keys) else coarsen
            packing = self.packing.coarser()
            keys, parent, slot, children = build(self.keys, self.packing, packing)
            gather = KernelMap(lambda: children, lambda: native.Plan.of_table(children))
            self._down = Downsampling(Level(keys, packing), gather, Parents(parent, slot, gather))
        return self._down


def extent(coords: Tensor) -> tuple[list[int], list[int]]:
    """Smallest and largest value of each column of coords int64 (N, 3) or (N, 4), N > 0."""
    if native.serves(coords):
        return native.extent(coords.contiguous())
    ends = [end for column in coords.unbind(1) for end in column.aminmax()]
    both: list[int] = torch.stack(ends).tolist()  # a GPU is waited for once
    return both[0::2], both[1::2]


def neighbour_table(keys: Tensor, y_size: int, z_size: int, size: int = 3) -> Tensor:
    """Submanifold neighbours in plain torch; see `Level.neighbours`.

    Only the first half of the offsets is searched: the relation is symmetric, so a hit fills its mirror image too. One
    binary search serves a whole z-run of `size` offsets, because the rows that follow the first hit are the next in z.
    """
    half, volume, count = size // 2, size**3, len(keys)
    # The row beyond the last takes every site without a neighbour: selecting those with one by a mask would make the
    # host wait for a GPU to count them.
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
    """Coarse keys (sorted), parent, slot and children of a filter 2, stride 2 map, in plain torch."""
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
