"""Which device a name means, and that torch is not asked where there is no GPU."""

from __future__ import annotations

import warnings
from importlib import metadata
from pathlib import Path

import pytest

from kidneyseg.errors import ResourceError
from kidneyseg.segmentation import devices
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import preset
from kidneyseg.sparse import native
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a driver with one GPU, and a torch that could use it."""
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    monkeypatch.setattr(devices, "_GPUS", tmp_path / "gpus")
    monkeypatch.setattr(devices, "_WINDOWS_GPU", tmp_path / "dxg")
    monkeypatch.setattr(metadata, "version", lambda _: "2.13.0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def test_a_gpu_is_seen_without_torch(gpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.has_gpu()
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not devices.has_gpu()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(metadata, "version", lambda _: "2.13.0+cpu")
    assert not devices.has_gpu(), "this torch is built for CPUs"


@pytest.mark.parametrize("left", ["an empty folder", "no folder"])
def test_without_a_driver_there_is_no_gpu(gpu: Path, left: str) -> None:
    (gpu / "gpus" / "0000:01:00.0").rmdir()
    if left == "no folder":
        (gpu / "gpus").rmdir()
    assert not devices.has_gpu()
    (gpu / "dxg").touch()
    assert devices.has_gpu(), "Windows lends one"


def test_a_driver_that_is_too_old_for_torch(
    gpu: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The CPU does the work, and one sentence says why, once."""
    torch = pytest.importorskip("torch")

    def refuse() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update it.\nMore")

    def warn() -> bool:
        warnings.warn("CUDA initialization: the driver is too old", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", warn)
    monkeypatch.setattr(torch.cuda, "init", refuse)
    for _ in range(2):
        assert devices.pick_device("auto") == "cpu"
    reason = "torch reports: The NVIDIA driver on your system is too old (found version 11040)"
    assert caplog.messages == [f"the GPU is not used, the CPU does the work: {reason}"]
    with pytest.raises(ResourceError, match=r"no CUDA GPU can be used here \(torch reports: The NVIDIA driver"):
        devices.pick_device("cuda")


def test_why_there_is_no_gpu(gpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "2.13.0+cpu")
    assert devices.no_cuda_reason() == "the installed torch is built for CPUs"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert devices.no_cuda_reason() == "CUDA_VISIBLE_DEVICES hides the GPUs"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    (gpu / "gpus" / "0000:01:00.0").rmdir()
    assert devices.no_cuda_reason() == "no NVIDIA driver with a GPU is loaded"


@pytest.mark.parametrize(
    ("name", "first", "built", "expected"),
    [
        ("auto", True, True, "cpu"),
        ("auto", False, True, "cuda"),
        ("auto", True, False, "cuda"),
        ("cuda", True, True, "cuda"),
        ("cuda:1", True, True, "cuda:1"),
        ("cpu", False, True, "cpu"),
    ],
)
def test_auto_takes_cuda_where_its_start_pays(
    monkeypatch: pytest.MonkeyPatch, name: str, first: bool, built: bool, expected: str
) -> None:
    monkeypatch.setattr(devices, "_has_cuda", lambda: True)
    monkeypatch.setattr(native, "available", lambda: built)
    assert devices.pick_device(name, first=first) == expected


def test_without_cuda_auto_is_the_cpu_and_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: False)
    assert devices.pick_device("auto") == "cpu"
    assert devices.cuda_name() == "none"
    with pytest.raises(ResourceError, match="no CUDA GPU"):
        devices.pick_device("cuda")
    with pytest.raises(ResourceError, match="no device 'abacus'"):
        devices.pick_device("abacus")


@pytest.mark.skipif(not native.available(), reason=native.reason())
def test_the_second_ct_of_a_process_may_use_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices, "_has_cuda", lambda: True)
    monkeypatch.setattr(Pipeline, "_segmented_before", False)
    models, (volume, _) = tiny_models(tmp_path), abdomen()
    first = Pipeline(volume, models_dir=models)
    assert Pipeline(volume, models_dir=models).device == "cpu", "nothing was segmented yet"
    first.run(preset("default"))
    assert first.device == "cpu", "a volume stays on its device"
    assert Pipeline(volume, models_dir=models).device == "cuda"
