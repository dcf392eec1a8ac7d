"""U-Nets with random weights and norms, and random points for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.layers import BatchNormReLU


def trained(**layout: Any) -> SparseUNet:
    """A network whose norms are not the identity."""
    torch.manual_seed(1)
    network = SparseUNet(3, 4, **layout)
    for module in network.modules():
        if isinstance(module, BatchNormReLU):
            for vector in (module.weight, module.bias, module.running_mean):
                torch.nn.init.normal_(vector, std=0.5)
            torch.nn.init.uniform_(module.running_var, 0.2, 3.0)
    return network.eval()


def points(count: int = 900) -> tuple[Tensor, Tensor]:
    """Points in random order of two batches, some on one site."""
    return torch.cat([torch.randint(0, 12, (count, 3)), torch.randint(0, 2, (count, 1))], 1), torch.randn(count, 3)


LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {"planes": [4, 6, 8]},
    "residual": {"planes": [4, 6, 8], "residual": True},
    "plain, two blocks": {"planes": [5, 3], "block_reps": 2},
    "residual, two blocks": {"planes": [4, 6, 8], "block_reps": 2, "residual": True},
    "one level": {"planes": [4]},
    "one level, residual, no final norm": {"planes": [4], "residual": True, "final_norm": False},
    "first of a site": {"planes": [4, 6], "input_mode": 1},
}
