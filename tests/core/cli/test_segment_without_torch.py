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
            raise ImportError("torch is blocked")

sys.meta_path.insert(0, NoTorch())
"""

_SEGMENT = "from kidneyseg.cli import main; sys.exit(main(sys.argv[1:]))"

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


def without_torch(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", _WITHOUT_TORCH + script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
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
    output = without_torch(_SEGMENT, "segment", str(ct), "-o", str(mask), "--preset", name, "--json")
    assert json.loads(output)["device"] == "cpu"
    found, _ = load_mask(mask)
    if name == "default":
        assert 2 * (found & truth).astype(bool).sum() > 1.5 * truth.astype(bool).sum()
    monkeypatch.setattr(native, "available", lambda: False)
    by_torch = Pipeline(volume, device="cpu").run(preset(name))
    assert np.array_equal(found, by_torch.mask)
