"""`kidneyseg evaluate` in real processes with random networks: the scores are low, but complete."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from command_line import kidneyseg
from kidneyseg.evaluation.scores import AS_IS, INSERTED
from kidneyseg.imaging.nifti import save_mask, save_volume
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A KiTS folder of two cases with tumours and `models` beside it."""
    folder = tmp_path_factory.mktemp("data")
    volume, truth = abdomen()
    for name in ("case_00000", "case_00001"):
        (folder / "kits" / name).mkdir(parents=True)
        save_volume(volume, folder / "kits" / name / "imaging.nii.gz")
        save_mask(truth, volume, folder / "kits" / name / "segmentation.nii.gz")
    (folder / "models").mkdir()
    tiny_models(folder / "models")
    return folder


def test_labelled_cts_with_and_without_insertion(data: Path, tmp_path: Path, device: str) -> None:
    done = kidneyseg(
        "evaluate", data / "kits", "--cases", "case_00001", "--models", data / "models", "--device", device,
        "--kept-percent", "60", "--lesions", "procedural", "--insertions", "1", "--originals", "-o", tmp_path, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [case["name"] for case in told["cases"]] == ["case_00001", "case_00001_inserted"]
    assert set(told["summary"]) == {AS_IS, INSERTED}
    inserted = told["cases"][1]
    assert len(inserted["lesions"]) >= 2  # its own and another
    assert inserted["figures"]["seconds"] > 0
    assert np.sum(inserted["points"]) > 0
    sidecar = json.loads((tmp_path / "case_00001_mask.json").read_text())
    assert sidecar["settings"]["sampling"]["kept_percent"] == 60
    assert sidecar["device"] == device
    assert (tmp_path / "evaluation.md").is_file()


def test_the_error_budget(data: Path, tmp_path: Path, device: str) -> None:
    how = ("--models", data / "models", "--device", device)
    done = kidneyseg("evaluate", data / "kits", "--cases", "case_00000", *how, "--error-budget", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| lost " in done.stdout
    (case,) = json.loads((tmp_path / "error_budget.json").read_text())["cases"]
    assert case["classes"]["kidney"]["remaining_dice"][0] > 0.95  # the grid and the fill, whatever the networks say
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"error_budget.{kind}" for kind in ("csv", "json", "md")
    ]
