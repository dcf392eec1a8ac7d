"""`kidneyseg train` and `crossvalidate` with the recipes' own networks; after two steps, their scores mean nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import kidneyseg
from kidneyseg.cli.main import main
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.models import load_model
from volumes import abdomen

QUICK = ("--no-insertion", "--threads", "1", "--workers", "0")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two small cases with tumours."""
    folder = tmp_path / "data"
    folder.mkdir()
    volume, truth = abdomen()
    for name in "ab":
        save_volume(volume, folder / f"{name}_ct.nii.gz")
        save_mask(truth, volume, folder / f"{name}_kidney.nii.gz")
    return folder


def test_a_bad_case_is_left_out(data: Path, tmp_path: Path, device: str) -> None:
    cut_off = (data / "b_ct.nii.gz").read_bytes()[:4000]
    for name in "cd":
        (data / f"{name}_kidney.nii.gz").symlink_to(data / "b_kidney.nii.gz")
        (data / f"{name}_ct.nii.gz").symlink_to(data / "b_ct.nii.gz")
    (data / "c_ct.nii.gz").unlink()
    (data / "c_ct.nii.gz").write_bytes(cut_off)
    few = ("--stage", "1", "--steps", "2", "--validate", "d")
    done = kidneyseg("train", data, "-o", tmp_path / "out", *few, "--device", device, *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out' / 'default-stage1.safetensors'}\n"
    assert "c: " in done.stderr
    assert "the case is left out" in done.stderr
    assert "prepared cases: 3 files" in done.stderr
    model = load_model("default-stage1", tmp_path / "out")
    assert model.info["trained on"] == ["a", "b"]
    assert model.info["scored on"] == ["d"]


def test_the_paper_preset_learns(data: Path, tmp_path: Path, device: str) -> None:
    command = ["train", str(data), "-o", str(tmp_path), "--preset", "paper", "--steps", "2", *QUICK]
    assert main([*command, "--recipe", "paper_published", "--validate", "b", "--device", device]) == 0
    for stage in (1, 2):
        assert load_model(f"paper-stage{stage}", tmp_path).network.config["in_channels"] == 3
    assert (tmp_path / "paper-stage2" / "log.csv").read_text().startswith("step,learning_rate,loss")


def test_a_killed_cross_validation_continues(data: Path, tmp_path: Path, device: str) -> None:
    command = ["crossvalidate", data, "-o", tmp_path, "--folds", "2", "--steps", "1", "--device", device, *QUICK]
    process = [sys.executable, "-m", "kidneyseg", *map(str, command)]
    with subprocess.Popen(process, stderr=subprocess.PIPE, text=True, env=os.environ.copy()) as first:
        assert first.stderr is not None
        assert any(line.startswith("a: kidney Dice") for line in first.stderr)
        first.kill()
    done = kidneyseg(*command)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("finished before") == 3
    assert "\na: " not in done.stderr  # scored before
    report = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert [case["name"] for case in report["cases"]] == ["a", "b"]
    assert report["scored by networks trained on the others"] == {"fold 1": ["a"], "fold 2": ["b"]}
    for stage in ("stage1", "coarse", "stage2"):
        assert load_model(f"default-{stage}", tmp_path / "fold-1").info["trained on"] == ["b"]
    assert "| a " in done.stdout


def test_a_cross_validation_continues_the_training_of_an_earlier_one(data: Path, tmp_path: Path, device: str) -> None:
    recipe = [*QUICK, "--device", device, "--cache", str(tmp_path / "cache")]
    earlier, later = tmp_path / "earlier", tmp_path / "later"
    assert main(["train", str(data), "-o", str(earlier / "final"), "--steps", "2", *recipe]) == 0
    command = ["crossvalidate", str(data), "-o", str(later), "--folds", "2", *recipe, "--steps", "3", "--final"]
    assert main([*command, "--start-from", str(earlier)]) == 0
    first, second = (load_model(f"default-stage{stage}", earlier / "final") for stage in (1, 2))
    assert load_model("default-stage1", later / "final").id == first.id
    continued = load_model("default-stage2", later / "final")
    assert continued.id != second.id
    assert (continued.info["started from"], continued.info["steps before"]) == (second.id, 2)
    assert second.info["started from"] == load_model("default-coarse", earlier / "final").id
    assert not (later / "final" / "default-coarse.safetensors").exists()
