"""Random active sites for tests of the sparse engine."""

import torch
from torch import Tensor

from kidneyseg.sparse.kernel_map import Packing


def sites(count: int, edge: int, batches: int = 2, seed: int = 0) -> tuple[Tensor, Packing]:
    """Sorted keys of up to `count` random sites in cubes of that edge."""
    generator = torch.Generator().manual_seed(seed)
    coords = torch.randint(0, edge, (count, 4), generator=generator)
    coords[:, 3] %= batches
    packing = Packing.around((edge, edge, edge))
    return torch.unique(packing.pack(coords)), packing
