"""Keys and kernel maps in plain torch, for GPUs and where the native kernels were not built; see `kernel_map`."""

from __future__ import annotations

import torch
from torch import Tensor

from kidneyseg.sparse.kernel_map import Packing


def pack(coords: Tensor, packing: Packing) -> tuple[Tensor, bool]:
    """Keys int64 (N,) of coords int64 (N, 3) or (N, 4), and whether they increase strictly."""
    keys: Tensor = packing.pack(coords)
    return keys, len(keys) < 2 or bool((keys[1:] > keys[:-1]).all())


def extent(coords: Tensor) -> tuple[list[int], list[int]]:
    """Smallest and largest value of each column of coords int64 (N, 3) or (N, 4), N > 0."""
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
    x, y, z, batch = fine.unpack(keys)
    slot = (4 * (x & 1) + 2 * (y & 1) + (z & 1)).int()
    halved = coarse.pack(torch.stack([x // 2, y // 2, z // 2, batch], dim=1))
    coarse_keys, parent = torch.unique(halved, return_inverse=True)
    children = torch.full((len(coarse_keys), 8), -1, dtype=torch.int32, device=keys.device)
    children[parent, slot.long()] = torch.arange(len(keys), dtype=torch.int32, device=keys.device)
    return coarse_keys, parent.int(), slot, children


def parent_table(parent: Tensor, slot: Tensor) -> Tensor:
    """The table int32 (N, 8) of output rows that read parent[i] under the offset slot[i]; both int32 (N,)."""
    table = torch.full((len(parent), 8), -1, dtype=torch.int32, device=parent.device)
    return table.scatter_(1, slot.long()[:, None], parent[:, None])
