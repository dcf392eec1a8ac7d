"""Random active sites for tests of the sparse engine."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kidneyseg.arrays import Indices
from kidneyseg.sparse.kernel_map import Level, Packing


def sites(count: int, edge: int, batches: int = 2, seed: int = 0) -> tuple[Indices, Packing]:
    """Sorted keys of up to `count` random sites in cubes of that edge."""
    coords = np.random.default_rng(seed).integers(0, edge, (count, 4))
    coords[:, 3] %= batches
    packing = Packing.around((edge, edge, edge))
    return np.unique(packing.pack(coords)), packing


def coords_of(level: Level[Any]) -> Tensor:
    """int64 (N, 4): x, y, z, batch of each site, on the device of the level."""
    return torch.stack([torch.as_tensor(axis) for axis in level.packing.unpack(level.keys)], dim=1)
