"""Corner cases of the network's input."""

from __future__ import annotations

import pytest
import torch

from kidneyseg.sparse import SparseUNet


def network() -> SparseUNet:
    torch.manual_seed(0)
    return SparseUNet(3, 2, [4, 8, 12])


def test_no_points_give_no_logits(kernels: torch.device) -> None:
    coords, features = torch.zeros(0, 4, dtype=torch.int64, device=kernels), torch.zeros(0, 3, device=kernels)
    assert network().to(kernels)(coords, features).shape == (0, 2)


def test_one_point(kernels: torch.device) -> None:
    coords, features = torch.tensor([[5, 6, 7, 0]], device=kernels), torch.ones(1, 3, device=kernels)
    logits = network().eval().to(kernels)(coords, features)
    assert logits.shape == (1, 2)
    assert torch.isfinite(logits).all()


def test_one_point_can_be_trained_on(kernels: torch.device) -> None:
    net = network().train().to(kernels)
    coords, features = torch.tensor([[5, 6, 7, 0]], device=kernels), torch.ones(1, 3, device=kernels)
    net(coords, features).sum().backward()
    assert torch.isfinite(net.stem.weight.grad).all()


def test_three_columns_are_one_batch_item(kernels: torch.device) -> None:
    net, coords = network().eval().to(kernels), torch.randint(0, 9, (50, 3), device=kernels)
    with_batch = torch.cat([coords, torch.zeros_like(coords[:, :1])], dim=1)
    features = torch.randn(50, 3, device=kernels)
    assert torch.equal(net(coords, features), net(with_batch, features))


def test_batch_items_do_not_mix(kernels: torch.device) -> None:
    net, coords = network().eval().to(kernels), torch.randint(0, 9, (50, 3), device=kernels)
    features = torch.randn(50, 3, device=kernels)
    twice = torch.cat([torch.cat([coords, torch.full_like(coords[:, :1], i)], dim=1) for i in (0, 1)])
    logits = net(twice, torch.cat([features, torch.randn(50, 3, device=kernels)]))
    torch.testing.assert_close(logits[:50], net(coords, features))


@pytest.mark.parametrize(
    ("coords", "features", "size", "says"),
    [
        (torch.tensor([[0, -1, 0, 0]]), torch.zeros(1, 3), None, "negative"),
        (torch.tensor([[0, 64, 0, 0]]), torch.zeros(1, 3), 64, "outside the spatial size 64"),
        (torch.zeros(1, 4), torch.zeros(1, 3), None, "int64"),
        (torch.zeros(1, 5, dtype=torch.int64), torch.zeros(1, 3), None, r"\(N, 3\) or \(N, 4\)"),
        (torch.zeros(2, 4, dtype=torch.int64), torch.zeros(1, 3), None, "one row per coordinate"),
        (torch.tensor([[2**40, 2**40, 0, 0]]), torch.zeros(1, 3), None, "more cells than"),
    ],
)
def test_bad_input_is_refused(coords: torch.Tensor, features: torch.Tensor, size: int | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        network()(coords, features, size)


def test_far_coordinates_cost_nothing(kernels: torch.device) -> None:
    coords = torch.tensor([[0, 0, 0, 0], [100_000, 100_000, 100_000, 3]], device=kernels)
    assert network().eval().to(kernels)(coords, torch.randn(2, 3, device=kernels)).shape == (2, 2)
