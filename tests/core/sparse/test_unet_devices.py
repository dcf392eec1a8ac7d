"""On every device: results repeat bit for bit, and a GPU is not synchronised with more often than necessary."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kidneyseg.sparse import SparseUNet, native
from kidneyseg.sparse.layers import InputLayer

# Before CUDA starts: without it cuBLAS may choose other sums from run to run.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

# On a GPU these add in an order that varies from run to run.
RACING = {
    *("index_add", "index_add_", "scatter_add", "scatter_add_", "scatter_reduce", "scatter_reduce_", "put_"),
    *("histc", "bincount", "embedding_dense_backward", "grid_sampler_3d_backward"),
}
# Their result's size or value must reach the host before it can go on.
WAITING = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "is_nonzero",
    "unique_dim",
    "_unique2",
    "unique_consecutive",
}


class Operations(TorchDispatchMode):
    """Counts the operations that are run. A mask as an index counts as the `nonzero` that it becomes."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = op.overloadpacket.__name__
        self.counts[name] += 1
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            masks = [index for index in args[1] if index is not None and index.dtype in (torch.bool, torch.uint8)]
            self.counts["nonzero"] += len(masks)
        return op(*args, **(kwargs or {}))


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Torch raises on an operation that it knows to be nondeterministic."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def points(device: torch.device, count: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    coords = torch.randint(0, 14, (count, 3), generator=generator)
    return coords.to(device), torch.randn(count, 2, generator=generator).to(device)


def network(device: torch.device, **layout: Any) -> SparseUNet:
    torch.manual_seed(0)
    return SparseUNet(2, 3, [6, 8, 10], residual=True, **layout).to(device)


def step(net: SparseUNet, device: torch.device) -> list[torch.Tensor]:
    """A training step on points of which some share a site: scores and every gradient."""
    coords, features = points(device)
    net.zero_grad()
    scores = net(coords, features.requires_grad_())
    scores.square().mean().backward()
    return [scores.detach(), features.grad, *(p.grad for p in net.parameters())]


@pytest.mark.usefixtures("deterministic")
def test_a_training_step_repeats_bit_for_bit(kernels: torch.device) -> None:
    net = network(kernels)
    first = step(net, kernels)
    for _ in range(20):
        assert all(torch.equal(a, b) for a, b in zip(first, step(net, kernels), strict=True))


def waits(counts: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if name in WAITING and count}


def operations(net: SparseUNet) -> Counter[str]:
    with Operations() as seen:
        step(net, torch.device("cpu"))
    return seen.counts


def test_no_torch_kernel_races(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "available", lambda: False)
    counts = operations(network(torch.device("cpu")))
    assert counts["mm"] > 20  # the convolutions were seen
    assert not RACING & counts.keys()


def test_the_host_waits_for_the_number_of_sites_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of synchronisations depends on the levels, not on the number of layers, offsets or tiles."""
    monkeypatch.setattr(native, "available", lambda: False)
    few, many = (operations(network(torch.device("cpu"), block_reps=reps)) for reps in (1, 3))
    assert waits(few) == waits(many)
    assert sum(waits(few).values()) <= 12


def test_kernel_maps_are_made_without_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "available", lambda: False)
    x, _ = InputLayer()(*points(torch.device("cpu")))
    with Operations() as seen:
        assert len(x.level.neighbours(3).table) == len(x.level)
        down = x.level.down()
        assert len(down.parents.table) == len(x.level)
        assert len(down.children.table) == len(down.coarse)
    assert seen.counts["searchsorted"] > 0
    assert waits(seen.counts) == {"_unique2": 1}  # the number of coarse sites
