"""What runs a network where."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
import torch

from kidneyseg.sparse import SparseUNet, native
from kidneyseg.sparse.inference import NativeUNet
from kidneyseg.sparse.memory import GpuMemoryError
from kidneyseg.sparse.network import Network
from kidneyseg.sparse.torch_runner import TorchRunner


def network(**layout: Any) -> Network:
    torch.manual_seed(0)
    return SparseUNet(2, 3, [4, 6, 8], **layout).eval().arrays


def points(count: int = 400) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 12, (count, 3)), rng.normal(size=(count, 2)).astype(np.float32)


def silent(_: float) -> None:
    pass


@pytest.mark.parametrize("residual", [False, True])
def test_every_backend_gives_the_same_logits(kernels: torch.device, residual: bool) -> None:
    net = network(residual=residual)
    expected = SparseUNet.of(net)(*map(torch.from_numpy, points())).detach().numpy()  # with gradients: by layers
    found = net.runner(kernels.type)(*points(), report=silent)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_native_kernels_run_it_where_they_were_built(monkeypatch: pytest.MonkeyPatch) -> None:
    if native.available():
        net = network()
        assert isinstance(net.runner("cpu"), NativeUNet)
        assert net.runner("cpu") is net.runner("cpu")
    monkeypatch.setattr(native, "available", lambda: False)
    assert isinstance(network().runner("cpu"), TorchRunner)


def test_a_bias_of_classes_is_added_to_the_logits() -> None:
    net = network()
    before = net.runner("cpu")(*points(), report=silent)
    after = net.biased((0.0, 1.0, -0.5)).runner("cpu")(*points(), report=silent)
    np.testing.assert_allclose(after - before, np.tile([0.0, 1.0, -0.5], (len(before), 1)), atol=1e-5)
    np.testing.assert_array_equal(net.runner("cpu")(*points(), report=silent), before)


def test_weights_that_do_not_fit_are_refused() -> None:
    net = network()
    with pytest.raises(ValueError, match=r"stem\.weight"):
        Network.checked({**net.config, "in_channels": 3}, net.weights)
    with pytest.raises(TypeError):
        Network.checked({**net.config, "colour": 3}, net.weights)


def test_a_gpu_without_memory_is_freed_before_it_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Allocation:
        """Stands for what a pass holds on the GPU."""

    held: weakref.WeakSet[Allocation] = weakref.WeakSet()
    held_when_freed = []

    def fail(*_: Any, **__: Any) -> None:
        on_gpu = Allocation()
        held.add(on_gpu)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SparseUNet, "forward", fail)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: held_when_freed.append(len(held)))
    with pytest.raises(GpuMemoryError):
        TorchRunner(network(), "cpu", "auto")(*points(), report=silent)
    assert held_when_freed == [0], "the failed pass still held its memory"


def test_a_computer_without_memory_raises_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(SparseUNet, "forward", fail)
    with pytest.raises(MemoryError, match="coarser lattice"):
        TorchRunner(network(), "cpu", "auto")(*points(), report=silent)
