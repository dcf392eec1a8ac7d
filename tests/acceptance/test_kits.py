"""The published experiment in miniature, on a KiTS19-shaped folder: split, training, a kill, the paper's table, Dice.

The commands are those of docs/paper.md; networks and steps are few, so that the scores mean nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from command_line import kidneyseg
from kidneyseg.cli.main import main
from kidneyseg.models import load_model
from kidneyseg.training.recipe import load_recipe
from kits_folder import save_kits_case
from volumes import abdomen

TRAINED, HELD_OUT = ["case_00000", "case_00002", "case_00003", "case_00007"], ["case_00001", "case_00004"]
# The bundled recipe with smaller networks and boxes, and little beside the steps.
RECIPE = """\
extends = "paper"
planes = [4, 8]
points = [2000, 6000]
batch = 2
norm_samples = 1
versions = 2
versions_in_memory = 4
check_every = 2
kept_probability = 0.05
"""


@pytest.fixture
def kits(tmp_path: Path) -> Path:
    """KiTS19's folder, with what may be wrong in a copy of it."""
    folder = tmp_path / "kits19"
    volume, truth = abdomen((60, 50, 24))
    with_cyst = truth.copy()
    with_cyst[truth == 2] = np.where(np.arange((truth == 2).sum()) % 2, 2, 3)  # KiTS23's third label
    for number, name in enumerate([*TRAINED[:3], *HELD_OUT]):
        brighter = replace(volume, hu=volume.hu + np.int16(number))  # no two CTs are equal
        save_kits_case(folder / name, brighter, with_cyst if number == 1 else truth, qform_only=number == 2)
    other, other_truth = abdomen((64, 44, 24))
    save_kits_case(folder / "case_00005", volume, None)  # one of the 90 test cases
    save_kits_case(folder / "case_00006", volume, other_truth)  # of another shape
    save_kits_case(folder / "case_00007", replace(other, hu=other.hu + np.int16(9)), other_truth, dtype=np.float64)
    (folder / "case_00008").mkdir()
    (folder / "kits.json").write_text("[]")
    shutil.copy(folder / "case_00000" / "segmentation.nii.gz", folder / "case_00000" / "prediction.nii.gz")
    return folder


def killed_after_a_checkpoint(command: list[str], run: Path) -> None:
    process = [sys.executable, "-m", "kidneyseg", *command]
    with subprocess.Popen(process, stderr=subprocess.PIPE, text=True, env=os.environ.copy()) as training:
        end = time.monotonic() + 120
        while not list(run.glob("*.pth")) and training.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        training.kill()
        assert training.stderr is not None
        said = training.stderr.read()
    assert list(run.glob("*.pth")), said
    assert not (run / "finished").exists(), "it was to be killed before its end"


def test_the_published_experiment_runs_unattended(
    kits: Path, tmp_path: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(RECIPE)
    out = tmp_path / "out"
    how = ["--recipe", str(tmp_path / "small.toml"), "--no-insertion", "--validate", "kits19", "--steps", "6"]
    run = ["--device", device, "--threads", "1", "--workers", "0", "--checkpoint-every", "1"]
    command = ["train", str(kits), "-o", str(out), *how, *run]

    killed_after_a_checkpoint(command, out / "paper-stage1")
    done = kidneyseg(*command)
    assert done.returncode == 0, done.stderr
    assert "continuing from step" in done.stderr
    assert "5 training cases, 2 validation cases, 6 steps" in done.stderr
    assert "1 CT without labels left out: case_00005" in done.stderr
    assert "case_00006: segmentation.nii.gz has 64 x 44 x 24 voxels" in done.stderr
    assert (out / "training.txt").read_text().split() == [*TRAINED[:3], "case_00006", TRAINED[3]]
    assert (out / "validation.txt").read_text().split() == HELD_OUT
    for stage in (1, 2):
        model = load_model(f"paper-stage{stage}", out)
        assert (model.info["trained on"], model.info["scored on"]) == (TRAINED, HELD_OUT)
        log = (out / f"paper-stage{stage}" / "log.csv").read_text().splitlines()
        assert "kidney IoU" in log[0]
        assert [row.split(",")[0] for row in log[1:]] == ["2", "4", "6"]

    assert main([*command, "--paper-table"]) == 0
    table = " ".join(capsys.readouterr().out.split())
    for line in ("stage 1, published", "stage 1, paper | brightest 3 %", "stage 2, paper | brightest 10 %"):
        assert f"| {line}" in table
    assert all(f"| {name} |" in table for name in HELD_OUT)
    assert "_inserted" not in table

    cases = ["--cases", str(out / "validation.txt")]
    scored = ["evaluate", str(kits), "--preset", "paper", "--models", str(out), *cases, "--device", device]
    assert main([*scored, "-o", str(out / "masks")]) == 0
    report = json.loads((out / "masks" / "evaluation.json").read_text())
    assert [case["name"] for case in report["cases"]] == HELD_OUT
    assert "seen in training" not in report


def test_the_page_s_recipe_is_one_of_the_paper_s_method(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/paper.md").read_text(encoding="utf-8")
    [text] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    for base in ("paper", "paper_published"):
        path = tmp_path / f"{base}.toml"
        path.write_text(text.replace('"paper"', f'"{base}"'))
        recipe = load_recipe(path)
        assert recipe.method == "paper"
        for stage in ("stage1", "stage2"):
            own, bundled = recipe.stage(stage), load_recipe(base).stage(stage)
            assert (own.steps, own.versions, own.check_every) == (20000, 6, 500)
            assert replace(own, steps=bundled.steps, versions=bundled.versions, check_every=100) == bundled
