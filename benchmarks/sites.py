"""Active sites of a CT, and how much arithmetic convolutions on them are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import Volume
from kidneyseg.points.resample import voxel_lattice
from kidneyseg.points.sampling import sample_body

Coords = NDArray[np.int64]


def body_voxels(volume: Volume) -> tuple[Coords, NDArray[np.int16]]:
    """All voxels inside the patient: int64 (N, 3) in lexicographic order, and their HU (N,)."""
    cloud = sample_body(volume, voxel_lattice(volume.shape, volume.spacing_mm), 100.0)
    return cloud.index.astype(np.int64), cloud.hu


def brightest(index: Coords, hu: NDArray[np.int16], count: int) -> Coords:
    """The `count` brightest voxels, of equally bright ones the first: int64 (count, 4) with batch 0, still in order."""
    chosen = np.sort(np.argsort(-hu, kind="stable")[:count])
    coords = np.zeros((len(chosen), 4), np.int64)
    coords[:, :3] = index[chosen]
    coords[:, :3] -= coords[:, :3].min(0)
    return coords


def unet_gflop(coords: Coords, in_channels: int, planes: Sequence[int]) -> float:
    """Two operations for every weight that meets an input, over all convolutions of a plain U-Net, one block a step."""
    total, level = 0.0, coords[:, :3]
    for depth, here in enumerate(planes):
        pairs = neighbour_pairs(level)
        total += pairs * here * (here + (in_channels if depth == 0 else 0))
        if depth + 1 < len(planes):
            total += pairs * 2 * here * here + 2 * len(level) * here * planes[depth + 1]
            level = np.unique(level // 2, axis=0)
    return 2e-9 * total


def neighbour_pairs(sites: Coords) -> int:
    """How many (site, active neighbour) pairs a 3x3x3 submanifold convolution has, itself included."""
    sizes = sites.max(0) + 3
    keys = np.sort((sites[:, 0] * sizes[1] + sites[:, 1]) * sizes[2] + sites[:, 2])
    pairs = len(keys)
    for dx, dy, dz in list(product((-1, 0, 1), repeat=3))[14:]:
        wanted = keys + (dx * sizes[1] + dy) * sizes[2] + dz
        found = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        pairs += 2 * int((keys[found] == wanted).sum())
    return pairs
