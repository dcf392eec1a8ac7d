"""`kidneyseg segment` and what it imports, with torch made unimportable."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.imaging.nifti import load_mask, save_volume
from kidneyseg.phantom.abdomen import make_phantom
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import preset
from kidneyseg.sparse import native

_WITHOUT_TORCH = """
import sys
from importlib import metadata

sys.modules["torch"] = None
version_of = metadata.version

def version(name):
    if name == "torch":
        raise metadata.PackageNotFoundError(name)
    return version_of(name)

metadata.version = version
"""

_PROGRAM = "from kidneyseg.cli import main; sys.exit(main(sys.argv[1:]))"

_IMPORT_ALL = """
import importlib, pkgutil
for package in (
    *("arrays", "cli", "datasets", "editing", "findings", "imaging", "models", "phantom", "points"),
    *("segmentation", "synthesis", "evaluation.end_to_end"),
):
    package = importlib.import_module(f"kidneyseg.{package}")
    for found in pkgutil.iter_modules(getattr(package, "__path__", ())):
        importlib.import_module(f"{package.__name__}.{found.name}")
from kidneyseg_gui.services import Services
print(Services().warm_up())
"""


def without_torch(script: str, *arguments: str, expected: int = 0) -> str:
    command = [sys.executable, "-c", _WITHOUT_TORCH + script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stderr
    return done.stdout if expected == 0 else done.stderr


def test_nothing_that_segments_imports_torch() -> None:
    assert without_torch(_IMPORT_ALL) in ("False\n", "True\n")


@pytest.mark.skipif(not native.available(), reason=native.reason())
@pytest.mark.parametrize("name", ["default", "paper"])
def test_a_ct_is_segmented_as_with_torch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, truth = make_phantom(seed=1, shape=(112, 80, 30), spacing_mm=(2.2, 2.2, 6.0))
    ct, mask = tmp_path / "ct.nii.gz", tmp_path / "mask.nii.gz"
    save_volume(volume, ct)
    output = without_torch(_PROGRAM, "segment", str(ct), "-o", str(mask), "--preset", name, "--json")
    report = json.loads(output)
    assert report["device"] == "cpu"
    assert "torch" not in report["versions"]
    found, _ = load_mask(mask)
    if name == "default":
        assert 2 * (found & truth).astype(bool).sum() > 1.5 * truth.astype(bool).sum()
    monkeypatch.setattr(native, "available", lambda: False)
    by_torch = Pipeline(volume, device="cpu").run(preset(name))
    assert np.array_equal(found, by_torch.mask)


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["segment", "CT", "--device", "cuda"], "gpu"),
        (["segment", "CT", "--backend", "sparseconvnet"], "gpu"),
        (["train", "DATA", "-o", "OUT"], "train"),
        (["crossvalidate", "DATA", "-o", "OUT"], "train"),
    ],
)
def test_what_needs_torch_says_how_to_get_it(command: list[str], extra: str, tmp_path: Path) -> None:
    volume, _ = make_phantom(seed=1, shape=(32, 32, 8), spacing_mm=(6.0, 6.0, 8.0))
    save_volume(volume, tmp_path / "ct.nii.gz")
    places = {"CT": str(tmp_path / "ct.nii.gz"), "DATA": str(tmp_path), "OUT": str(tmp_path / "out")}
    error = without_torch(_PROGRAM, *(places.get(word, word) for word in command), expected=1)
    assert len(error.splitlines()) == 1
    assert f"pip install 'kidneyseg[{extra}]'" in error


@pytest.mark.skipif(not native.available(), reason=native.reason())
def test_bench_needs_no_torch(tmp_path: Path) -> None:
    save_volume(make_phantom(seed=1, shape=(112, 80, 30), spacing_mm=(2.2, 2.2, 6.0))[0], tmp_path / "ct.nii.gz")
    report = json.loads(without_torch(_PROGRAM, "bench", str(tmp_path / "ct.nii.gz"), "--started-at", "0"))
    assert "torch" not in report["machine"]["versions"]
    assert report["next CT"]["seconds"]["stage 1: kernel maps"] > 0


def test_info_says_that_torch_is_missing() -> None:
    assert json.loads(without_torch(_PROGRAM, "info", "--json"))["torch"].startswith("not installed")
