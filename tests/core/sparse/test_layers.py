"""Corner cases of the layers."""

from __future__ import annotations

import pytest
import torch

from kidneyseg.sparse.kernel_map import Packing
from kidneyseg.sparse.layers import BatchNormReLU, InputLayer, OutputLayer, SparseTensor, level_of


def test_mode_0_refuses_duplicates() -> None:
    with pytest.raises(ValueError, match="mode 0"):
        InputLayer(0)(torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 1))


@pytest.mark.parametrize(("mode", "expected"), [(1, [1.0, 0.0, 4.0]), (2, [0.0, 2.0, 4.0]), (3, [3.0, 3.0, 4.0])])
def test_duplicates_by_mode(kernels: torch.device, mode: int, expected: list[float]) -> None:
    coords = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]], device=kernels)
    x, rows = InputLayer(mode)(coords, torch.tensor([[1.0], [2.0], [4.0]], device=kernels))
    assert OutputLayer()(x, rows)[:, 0].tolist() == expected


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_points_get_their_gradients_back(kernels: torch.device, mode: int) -> None:
    coords = torch.randint(0, 3, (60, 3), device=kernels)
    features = torch.randn(60, 2, dtype=torch.float64, device=kernels, requires_grad=True)

    def back_and_forth(features: torch.Tensor) -> torch.Tensor:
        x, rows = InputLayer(mode)(coords, features)
        out: torch.Tensor = OutputLayer()(x, rows)
        return out

    assert torch.autograd.gradcheck(back_and_forth, (features,))


def test_norm_of_a_single_row_keeps_the_variance(kernels: torch.device) -> None:
    norm = BatchNormReLU(2).train().to(kernels)
    level = level_of(torch.zeros(1, dtype=torch.int64, device=kernels), Packing.around((1, 1, 1)))
    y = norm(SparseTensor(torch.tensor([[3.0, -3.0]], device=kernels), level))
    assert y.features.tolist() == [[0.0, 0.0]]
    assert norm.running_var.tolist() == [1.0, 1.0]
    torch.testing.assert_close(norm.running_mean.cpu(), torch.tensor([0.03, -0.03]))
