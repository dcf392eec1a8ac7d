"""`phantom` writes a CT and its labels, which `info` describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kidneyseg.cli import main
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.phantom import abdomen
from phantoms import SHAPE, SPACING, coarse_phantom


def test_a_ct_and_its_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_phantom = abdomen.make_phantom

    def coarse(seed: int, **options: Any) -> Any:
        return make_phantom(seed, SHAPE, SPACING, **options)

    monkeypatch.setattr(abdomen, "make_phantom", coarse)
    ct = tmp_path / "phantom.nii.gz"
    assert main(["phantom", str(ct), "--seed", "1", "--phase", "arterial", "--tumours", "1"]) == 0
    assert str(tmp_path / "phantom_labels.nii.gz") in capsys.readouterr().out
    expected, labels = coarse_phantom(1, "arterial")
    assert np.array_equal(load_volume(ct).hu, expected.hu)
    assert np.array_equal(load_mask(tmp_path / "phantom_labels.nii.gz")[0], labels)
    assert main(["info", str(ct), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (tuple(told["voxels"]), told["calibrated"]) == (SHAPE, "yes")
