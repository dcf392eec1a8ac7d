"""What happens when memory runs out, and which backend runs a network."""

from __future__ import annotations

import sys
from importlib.util import spec_from_loader
from typing import Any

import numpy as np
import pytest
import torch

import fake_sparseconvnet
from kidneyseg.errors import ResourceError
from kidneyseg.models import Model
from kidneyseg.points.features import hu_features
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks
from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.memory import GpuMemoryError
from kidneyseg.sparse.scn_backend import SparseConvNetUNet
from kidneyseg.sparse.torch_runner import TorchRunner


def model(backend: str = "auto") -> Model:
    torch.manual_seed(0)
    return Model(SparseUNet(1, 2, [4, 6]).eval().arrays, "net", "net-1", backend=backend)


def points(count: int = 50) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 9, (count, 3)), hu_features(rng.integers(-100, 200, count), 1)


@pytest.mark.parametrize(
    ("failures", "asked", "said"),
    [
        (0, ["cuda"], []),
        (1, ["cuda", "cuda"], ["run again by itself"]),
        (2, ["cuda", "cuda", "cpu"], ["run again by itself", "the CPU was used"]),
    ],
)
def test_a_gpu_without_memory_is_tried_again_and_then_left(
    monkeypatch: pytest.MonkeyPatch, failures: int, asked: list[str], said: list[str]
) -> None:
    expected = networks.predict(model(), *points(), "cpu", Progress())
    notes, devices, on_cpu, left = list[str](), list[str](), model().runner("cpu"), failures

    def runner(_: Model, device: str) -> Any:
        devices.append(device)

        def run(*points: Any, **how: Any) -> Any:
            nonlocal left
            if device == "cuda" and left:
                left -= 1
                raise GpuMemoryError
            return on_cpu(*points, **how)

        return run

    monkeypatch.setattr(Model, "runner", runner)
    found = networks.predict(model(), *points(), "cuda", Progress(), notes.append)
    assert np.array_equal(found, expected)
    assert devices == asked
    assert len(notes) == len(said)
    assert all(words in note for words, note in zip(said, notes, strict=True))


def failing(error: Exception) -> Any:
    def run(*_: Any, **__: Any) -> None:
        raise error

    return lambda *_: run


def test_a_computer_without_memory_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "runner", failing(MemoryError()))
    with pytest.raises(ResourceError, match="50 points need more memory than is free; close"):
        networks.predict(model(), *points(), "cpu", Progress())


def test_other_failures_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "runner", failing(RuntimeError("a mistake")))
    with pytest.raises(RuntimeError, match="a mistake"):
        networks.predict(model(), *points(), "cpu", Progress())


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    logits = torch.randn(1000, 3) * 8
    found = networks._softmax(logits.numpy().copy())
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, logits.softmax(1).numpy(), atol=5e-4)
    huge = np.array([[1e4, -1e4, 0.0]], np.float32)
    assert networks._softmax(huge).tolist() == [[1.0, 0.0, 0.0]]


def test_every_device_gives_the_same_classes(kernels: torch.device) -> None:
    expected = networks.predict(model(), *points(2000), "cpu", Progress())
    found = networks.predict(model(), *points(2000), kernels.type, Progress())
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=2e-3)  # fp16


def test_the_mean_over_both_sides_is_that_of_two_runs(kernels: torch.device) -> None:
    cells, features = points(2000)
    cells[:, 0] -= 4
    sides = [cells - cells.min(0), (cells - cells.max(0)) * [-1, 0, 0] + (cells - cells.min(0)) * [0, 1, 1]]
    each = [networks.predict(model(), side, features, kernels.type, Progress()).astype(np.float32) for side in sides]
    shares: list[float] = []

    class Seen(Progress):
        def show(self, stage: str, fraction: float) -> None:
            shares.append(fraction)

    found = networks.predict_mirrored(model(), cells, features, kernels.type, Seen(), lambda _: None)
    assert np.array_equal(found, ((each[0] + each[1]) / 2).astype(np.float16))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    none = networks.predict_mirrored(model(), cells[:0], features[:0], kernels.type, Progress(), lambda _: None)
    assert none.shape == (0, 2)


def test_a_mirrored_run_without_memory_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("kidneyseg.sparse.inference.merge", fail)
    monkeypatch.setattr("kidneyseg.sparse.layers.InputLayer.forward", fail)
    with pytest.raises(ResourceError, match="50 points need more memory than is free; close"):
        networks.predict_mirrored(model(), *points(), "cpu", Progress(), lambda _: None)


def test_sparseconvnet_gives_the_same_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sparseconvnet", fake_sparseconvnet)
    monkeypatch.setattr(fake_sparseconvnet, "__spec__", spec_from_loader("sparseconvnet", None))
    theirs = model("sparseconvnet")
    runner = theirs.runner("cpu")
    assert isinstance(runner, TorchRunner)
    assert isinstance(runner.module, SparseConvNetUNet)
    assert runner is theirs.runner("cpu")
    shares: list[float] = []

    class Seen(Progress):
        def show(self, stage: str, fraction: float) -> None:
            shares.append(fraction)

    found = networks.predict(theirs, *points(), "cpu", Seen())
    expected = networks.predict(model(), *points(), "cpu", Progress())
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=2e-3)
    assert shares[-1] == 1
