"""What happens when memory runs out, and which engine runs a network."""

from __future__ import annotations

import sys
import weakref
from importlib.util import spec_from_loader
from typing import Any

import numpy as np
import pytest
import torch

import fake_sparseconvnet
from kidneyseg.errors import ResourceError
from kidneyseg.models import Model
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.features import hu_features
from kidneyseg.progress import Progress
from kidneyseg.segmentation import networks, stage1
from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.backends import SparseConvNetUNet

CUDA = torch.device("cuda")


def model(engine: str = "auto") -> Model:
    torch.manual_seed(0)
    return Model(SparseUNet(1, 2, [4, 6]).eval(), "net", "net-1", engine=engine)


def points(count: int = 50) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 9, (count, 3)), hu_features(rng.integers(-100, 200, count), 1)


def test_stage1_finds_the_same_in_a_mirror_image() -> None:
    rng = np.random.default_rng(1)
    there = np.argwhere(rng.random((20, 12, 9)) < 0.5).astype(np.int32)
    hu = rng.integers(-100, 200, len(there)).astype(np.int16)
    lattice = Lattice((5.0, 5.0, 5.0), (20, 12, 9))
    found = stage1.find_kidneys(PointCloud(lattice, there, hu), model(), torch.device("cpu"), Progress())
    mirrored = there * (-1, 1, 1) + (19, 0, 0)
    order = np.lexsort(mirrored.T[::-1])
    cloud = PointCloud(lattice, mirrored[order].astype(np.int32), hu[order])
    other = stage1.find_kidneys(cloud, model(), torch.device("cpu"), Progress())
    assert found.probability is not None
    assert other.probability is not None
    np.testing.assert_allclose(found.probability[order], other.probability, atol=2e-3)
    assert np.ptp(found.probability[:, 1]) > 0.1, "as the network says, not all alike"


class Allocation:
    """Stands for what a pass holds on the GPU."""


class SmallGpu:
    """Runs out of memory a number of times; a pass that is on the GPU and fits runs on the CPU instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
        self.failures, self.asked, self.held = failures, [], weakref.WeakSet[Allocation]()
        self.held_when_freed: list[int] = []
        self._run = networks._run
        monkeypatch.setattr(networks, "_run", self.run)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: self.held_when_freed.append(len(self.held)))

    def run(self, network: Any, coords: Any, features: Any, device: torch.device, progress: Progress) -> Any:
        self.asked.append(device.type)
        if device.type == "cuda":
            features_on_gpu = Allocation()
            self.held.add(features_on_gpu)
            if self.failures:
                self.failures -= 1
                raise torch.OutOfMemoryError("CUDA out of memory")
        return self._run(network, coords, features, torch.device("cpu"), progress)


@pytest.mark.parametrize(
    ("failures", "asked", "said"),
    [
        (0, ["cuda"], []),
        (1, ["cuda", "cuda"], ["run again by itself"]),
        (2, ["cuda", "cuda", "cpu"], ["run again by itself", "the CPU was used"]),
    ],
)
def test_a_gpu_without_memory_is_freed_and_then_left(
    monkeypatch: pytest.MonkeyPatch, failures: int, asked: list[str], said: list[str]
) -> None:
    expected = networks.predict(model(), *points(), torch.device("cpu"), Progress())
    gpu, notes = SmallGpu(monkeypatch, failures), []
    found = networks.predict(model(), *points(), CUDA, Progress(), notes.append)
    assert np.array_equal(found, expected)
    assert gpu.asked == asked
    assert gpu.held_when_freed == [0] * failures, "the failed pass still held its memory"
    assert len(notes) == len(said)
    assert all(words in note for words, note in zip(said, notes, strict=True))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),  # on Windows
    ],
)
def test_a_computer_without_memory_says_the_mend(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(SparseUNet, "forward", fail)
    with pytest.raises(ResourceError, match="50 points need more memory than is free; close"):
        networks.predict(model(), *points(), torch.device("cpu"), Progress())


def test_other_failures_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(SparseUNet, "forward", fail)
    with pytest.raises(RuntimeError, match="a mistake"):
        networks.predict(model(), *points(), torch.device("cpu"), Progress())


def test_every_device_gives_the_same_classes(kernels: torch.device) -> None:
    expected = networks.predict(model(), *points(2000), torch.device("cpu"), Progress())
    found = networks.predict(model(), *points(2000), kernels, Progress())
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=2e-3)  # fp16


def test_sparseconvnet_gives_the_same_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sparseconvnet", fake_sparseconvnet)
    monkeypatch.setattr(fake_sparseconvnet, "__spec__", spec_from_loader("sparseconvnet", None))
    theirs = model("sparseconvnet")
    assert isinstance(theirs.runs, SparseConvNetUNet)
    assert theirs.runs is theirs.runs
    shares: list[float] = []

    class Seen(Progress):
        def show(self, stage: str, fraction: float) -> None:
            shares.append(fraction)

    found = networks.predict(theirs, *points(), torch.device("cpu"), Seen())
    expected = networks.predict(model(), *points(), torch.device("cpu"), Progress())
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=2e-3)
    assert shares[-1] == 1
