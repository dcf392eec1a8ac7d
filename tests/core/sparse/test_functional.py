"""Sparse convolutions against dense `conv3d` masked to the active sites: independent of any kernel map."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as dense

from kidneyseg.sparse import SparseUNet, functional, native
from kidneyseg.sparse.layers import InputLayer
from random_sites import coords_of

SIZE = 12


def random_sites(device: torch.device, batch: int = 2, fill: float = 0.3) -> torch.Tensor:
    """Active sites of a random grid: coords (N, 4)."""
    generator = torch.Generator().manual_seed(0)
    coords = (torch.rand(batch, SIZE, SIZE, SIZE, generator=generator) < fill).nonzero().to(device)
    return torch.cat([coords[:, 1:], coords[:, :1]], dim=1)


def scatter(coords: torch.Tensor, features: torch.Tensor, size: int = SIZE) -> torch.Tensor:
    """Features (N, C) at coords as a dense (batch, C, S, S, S)."""
    x, y, z, b = coords.unbind(1)
    grid = features.new_zeros(int(b.max()) + 1, size, size, size, features.shape[1])
    return grid.index_put((b, x, y, z), features).permute(0, 4, 1, 2, 3)


def values_at(grid: torch.Tensor, coords: torch.Tensor) -> torch.Tensor:
    x, y, z, b = coords.unbind(1)
    return grid.permute(0, 2, 3, 4, 1)[b, x, y, z]


def random_weight(offsets: int, device: torch.device) -> torch.Tensor:
    return torch.randn(offsets, 5, 7, device=device).div(offsets).requires_grad_()


def conv3d_weight(weight: torch.Tensor, size: int) -> torch.Tensor:
    """(K, in, out), first coordinate slowest -> torch's (out, in, X, Y, Z)."""
    return weight.permute(2, 1, 0).unflatten(2, (size, size, size))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_submanifold_is_masked_conv3d(kernels: torch.device, size: int) -> None:
    coords = random_sites(kernels)
    features = torch.randn(len(coords), 5, device=kernels, requires_grad=True)
    weight = random_weight(size**3, kernels)
    x, _ = InputLayer()(coords, features)
    expected = values_at(
        dense.conv3d(scatter(coords, features), conv3d_weight(weight, size), padding=size // 2), coords
    )
    ours = functional.submanifold_conv(x.features, weight, x.level.neighbours(size))
    check_equal(ours, expected, [features, weight])


def test_strided_is_conv3d_at_stride_2(kernels: torch.device) -> None:
    coords = random_sites(kernels, fill=0.05)
    features = torch.randn(len(coords), 5, device=kernels, requires_grad=True)
    weight = random_weight(8, kernels)
    x, _ = InputLayer()(coords, features)
    down = x.level.down()
    assert torch.equal(coords_of(down.coarse), unique_rows(torch.cat([coords[:, :3] // 2, coords[:, 3:]], dim=1)))
    grid = dense.conv3d(scatter(coords, features), conv3d_weight(weight, 2), stride=2)
    ours = functional.strided_conv(x.features, weight, down)
    check_equal(ours, values_at(grid, coords_of(down.coarse)), [features, weight])


def test_transposed_is_conv_transpose3d_on_the_fine_sites(kernels: torch.device) -> None:
    coords = random_sites(kernels, fill=0.05)
    x, _ = InputLayer()(coords, torch.zeros(len(coords), 1, device=kernels))
    down = x.level.down()
    features = torch.randn(len(down.coarse), 5, device=kernels, requires_grad=True)
    weight = random_weight(8, kernels)
    grid = dense.conv_transpose3d(
        scatter(coords_of(down.coarse), features, SIZE // 2), weight.permute(1, 2, 0).unflatten(2, (2, 2, 2)), stride=2
    )
    ours = functional.transposed_conv(features, weight, down)
    check_equal(ours, values_at(grid, coords_of(x.level)), [features, weight])


@pytest.mark.skipif(not native.available(), reason=native.reason())
@pytest.mark.parametrize("rows", [0, 3, 300_000])  # the last uses a pooled buffer
def test_join_equals_torch_s_cat(rows: int) -> None:
    parts = [torch.randn(rows, channels, requires_grad=True) for channels in (16, 5)]
    joined, expected = functional.join(*parts), torch.cat(parts, dim=1)
    assert torch.equal(joined, expected)
    weight = torch.randn(rows, 21)
    ours = torch.autograd.grad(joined, parts, weight)
    assert all(grad.is_contiguous() for grad in ours)
    for mine, theirs in zip(ours, torch.autograd.grad(expected, parts, weight), strict=True):
        assert torch.equal(mine, theirs)


def unique_rows(coords: torch.Tensor) -> torch.Tensor:
    """Distinct rows, sorted by batch, x, y, z."""
    return torch.unique(coords[:, [3, 0, 1, 2]], dim=0)[:, [1, 2, 3, 0]]


def check_equal(ours: torch.Tensor, expected: torch.Tensor, leaves: list[torch.Tensor]) -> None:
    """Values and the gradients of a random linear functional of them agree."""
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    direction = torch.randn_like(expected)
    mine = torch.autograd.grad(ours, leaves, direction)
    theirs = torch.autograd.grad(expected, leaves, direction)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("residual", [False, True])
def test_network_does_not_depend_on_the_order_of_points(kernels: torch.device, residual: bool) -> None:
    torch.manual_seed(0)
    network = SparseUNet(2, 3, [4, 8, 12], residual=residual).eval().to(kernels)
    coords = random_sites(kernels)
    features = torch.randn(len(coords), 2, device=kernels)
    order = torch.randperm(len(coords))
    torch.testing.assert_close(network(coords[order], features[order]), network(coords, features)[order])


def test_networks_agree_with_the_torch_kernels_on_the_cpu(
    kernels: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = SparseUNet(1, 2, [16, 32, 48], residual=True)
    coords = random_sites(torch.device("cpu"))
    features = torch.randn(len(coords), 1)
    outcomes = []
    for device in (kernels, torch.device("cpu")):
        network.to(device).zero_grad()
        logits = network(coords.to(device), features.to(device))
        logits.square().sum().backward()
        outcomes.append([logits.detach().cpu(), *(p.grad.cpu() for p in network.parameters() if p.grad is not None)])
        monkeypatch.setattr(native, "available", lambda: False)
    for ours, theirs in zip(*outcomes, strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
