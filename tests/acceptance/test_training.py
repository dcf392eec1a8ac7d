"""`kidneyseg train` and `crossvalidate` in real processes: bad cases, other arguments, kills; figures mean nothing."""

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

QUICK = ("--threads", "1", "--workers", "0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small cases with tumours."""
    folder = tmp_path_factory.mktemp("data")
    volume, truth = abdomen()
    for name in "abcd":
        save_volume(volume, folder / f"{name}_ct.nii.gz")
        save_mask(truth, volume, folder / f"{name}_kidney.nii.gz")
    return folder


def test_a_bad_case_is_left_out_and_other_arguments_are_refused(data: Path, tmp_path: Path, device: str) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    for path in data.iterdir():
        (cases / path.name).symlink_to(path)
    (cases / "b_ct.nii.gz").unlink()
    (cases / "b_ct.nii.gz").write_bytes((data / "b_ct.nii.gz").read_bytes()[:4000])
    few = ("--stage", "1", "--steps", "2", "--validate", "d")
    command = ("train", cases, "-o", tmp_path / "out", *few, "--device", device, *QUICK)
    done = kidneyseg(*command)
    assert done.returncode == 0, done.stderr
    assert "b: " in done.stderr
    assert "the case is left out" in done.stderr
    assert "prepared cases: 3 files" in done.stderr
    model = load_model("default-stage1", tmp_path / "out")
    assert model.info["trained on"] == ["a", "c"]
    assert model.info["scored on"] == ["d"]
    assert "finished before" in kidneyseg(*command).stderr
    refused = kidneyseg(*command, "--batch", "3")
    assert refused.returncode == 2
    assert "begun with another batch: 2, not 3; give the same arguments to go on with it" in refused.stderr


def test_the_published_recipe_on_kits19(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(210):
        folder = tmp_path / "kits" / f"case_{number:05d}"
        folder.mkdir(parents=True)
        for name in ("imaging", "segmentation"):
            (folder / f"{name}.nii.gz").touch()
    assert main(["train", str(tmp_path / "kits"), "-o", str(tmp_path / "out"), "--preset", "paper"]) == 3
    told = capsys.readouterr().err
    assert "170 cases to learn from, 40 to score on" in told
    assert "none of the 170 cases can be used" in told


def test_the_paper_preset_learns(data: Path, tmp_path: Path, device: str) -> None:
    command = ["train", str(data), "-o", str(tmp_path), "--preset", "paper", "--steps", "2", "--no-insertion", *QUICK]
    assert main([*command, "--class-weights", "published", "--validate", "d", "--device", device]) == 0
    for stage in (1, 2):
        assert load_model(f"paper-stage{stage}", tmp_path).network.config["in_channels"] == 3
    assert (tmp_path / "paper-stage2" / "log.csv").read_text().startswith("step,rate,loss")


def test_a_killed_cross_validation_goes_on(data: Path, tmp_path: Path, device: str) -> None:
    few = ("--folds", "2", "--steps", "2", "--no-insertion")
    command = ["crossvalidate", data, "-o", tmp_path, *few, "--device", device, *QUICK]
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
    assert [case["name"] for case in report["cases"]] == ["a", "b", "c", "d"]
    assert report["scored by networks trained on the others"] == {"fold 1": ["a", "c"], "fold 2": ["b", "d"]}
    assert load_model("default-stage2", tmp_path / "fold-1").info["trained on"] == ["b", "d"]
    assert "| a " in done.stdout


def test_stage_2_by_itself_says_what_it_lacks(
    data: Path, tmp_path: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--stage", "2", "--steps", "1", "--no-insertion", "--device", device, *QUICK]
    assert main(["train", str(data), "-o", str(tmp_path), *few]) == 0
    told = capsys.readouterr().err
    assert "holds no default-stage1: stage 2 learns from made-up finds" in told
    assert "holds no default-coarse: stage 2 begins with random weights; train --stage coarse first" in told
    assert "started from" not in load_model("default-stage2", tmp_path).info


def test_networks_that_know_a_case_do_not_help_where_it_is_scored_on(
    data: Path, tmp_path: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(data), "-o", str(tmp_path), "--steps", "1", "--no-insertion", "--device", device, *QUICK]
    assert main([*command, "--stage", "1"]) == 0
    assert main([*command, "--stage", "2", "--validate", "d"]) == 2
    told = capsys.readouterr().err
    assert f"{load_model('default-stage1', tmp_path).id} has learnt from d, which is to be scored on" in told
    assert not (tmp_path / "default-stage2").exists()

    one = tmp_path / "one"
    one.mkdir()
    for path in data.glob("a_*"):
        (one / path.name).symlink_to(path)
    learn_on = ["--stage", "1", "--steps", "1", "--no-insertion", "--device", device, "--start-from", str(tmp_path)]
    assert main(["train", str(one), "-o", str(tmp_path / "on"), *learn_on, *QUICK]) == 0
    assert load_model("default-stage1", tmp_path / "on").info["trained on"] == ["a", "b", "c", "d"]


def test_a_cross_validation_learns_on_from_an_earlier_one(
    data: Path, tmp_path: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = [
        "--folds",
        "2",
        "--no-insertion",
        "--device",
        device,
        *QUICK,
        "--cache",
        str(tmp_path / "cache"),
    ]
    earlier, later = tmp_path / "earlier", tmp_path / "later"
    learnt = ["train", str(data), "-o", str(earlier / "final"), "--steps", "2", "--no-insertion", "--device", device]
    assert main([*learnt, *QUICK]) == 0
    command = ["crossvalidate", str(data), "-o", str(later), *recipe, "--steps", "3", "--start-from", str(earlier)]
    assert main([*command, "--final"]) == 0
    first, second = (load_model(f"default-stage{stage}", earlier / "final") for stage in (1, 2))
    assert load_model("default-stage1", later / "final").id == first.id
    learnt_on = load_model("default-stage2", later / "final")
    assert learnt_on.id != second.id
    assert (learnt_on.info["started from"], learnt_on.info["steps before"]) == (second.id, 2)
    assert second.info["started from"] == load_model("default-coarse", earlier / "final").id
    assert not (later / "final" / "default-coarse.safetensors").exists()

    (earlier / "fold-1").symlink_to(earlier / "final")
    capsys.readouterr()
    assert main([*command, "--fold", "1"]) == 2
    assert f"{first.id} has learnt from a, which is to be scored on: train it anew" in capsys.readouterr().err
