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

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("torch is blocked", name=name)

sys.meta_path.insert(0, NoTorch())
"""

_SEGMENT = "from kidneyseg.cli import main; sys.exit(main(sys.argv[1:]))"

# As in the installed program, which has no torch at all.
_NOT_INSTALLED = """
from importlib import metadata

def version(name, real=metadata.version):
    if name == "torch":
        raise metadata.PackageNotFoundError(name)
    return real(name)

metadata.version = version
"""

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


def start(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _WITHOUT_TORCH + script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def without_torch(script: str, *arguments: str) -> str:
    done = start(script, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_that_segments_imports_torch() -> None:
    assert without_torch(_IMPORT_ALL) in ("False\n", "True\n")


@pytest.mark.skipif(not native.available(), reason=native.reason())
@pytest.mark.parametrize("name", ["default", "paper"])
def test_a_ct_is_segmented_as_with_torch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, truth = make_phantom(seed=1, shape=(112, 80, 30), spacing_mm=(2.2, 2.2, 6.0))
    ct, mask = tmp_path / "ct.nii.gz", tmp_path / "mask.nii.gz"
    save_volume(volume, ct)
    options = ("-o", str(mask), "--preset", name, "--json")
    assert json.loads(without_torch(_NOT_INSTALLED + _SEGMENT, "segment", str(ct), *options))["device"] == "cpu"
    assert "torch" not in json.loads(mask.with_name("mask.json").read_text())["versions"]
    found, _ = load_mask(mask)
    if name == "default":
        assert 2 * (found & truth).astype(bool).sum() > 1.5 * truth.astype(bool).sum()
    monkeypatch.setattr(native, "available", lambda: False)
    by_torch = Pipeline(volume, device="cpu").run(preset(name))
    assert np.array_equal(found, by_torch.mask)


@pytest.mark.skipif(not native.available(), reason=native.reason())
def test_info_says_that_torch_is_not_installed() -> None:
    told = json.loads(without_torch(_NOT_INSTALLED + _SEGMENT, "info", "--json"))
    assert told["torch"].startswith("not installed")
    assert told["CUDA"] == "none"


def test_training_says_what_it_needs(tmp_path: Path) -> None:
    done = start(_NOT_INSTALLED + _SEGMENT, "train", str(tmp_path), "-o", str(tmp_path / "run"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "needs torch, which is not installed" in done.stderr
