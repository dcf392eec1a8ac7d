"""`segment` with several CTs: where the masks go, and what a failure leaves to the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kidneyseg.cli import main
from kidneyseg.imaging.nifti import load_mask, save_volume
from kidneyseg.segmentation import pipeline
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two CTs, a file that is none, and tiny random networks."""
    folder = tmp_path_factory.mktemp("case")
    volume, _ = abdomen()
    save_volume(volume, folder / "first.nii.gz")
    volume.hu[:, :, ::2] += 20
    save_volume(volume, folder / "second.nii.gz")
    (folder / "letter.nii").write_text("Dear colleague, this is no CT. " * 20)
    return tiny_models(folder)


def segment(case: Path, *more: str | Path) -> int:
    return main(["segment", "--models", str(case), *map(str, more)])


def test_each_ct_gets_the_mask_that_it_gets_alone(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    load = pipeline.load_networks

    def counted(method: str, *where: Any) -> pipeline.Networks:
        loads.append(method)
        return load(method, *where)

    for name in ("first", "second"):
        assert segment(case, case / f"{name}.nii.gz", "-o", tmp_path / f"{name}_alone.nii.gz") == 0
    capsys.readouterr()
    monkeypatch.setattr(pipeline, "load_networks", counted)
    folder = tmp_path / "new" / "masks"
    assert segment(case, case / "first.nii.gz", case / "second.nii.gz", "-o", folder, "--json") == 0
    assert loads == ["default"]
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [report["ct"] for report in reports] == [str(case / "first.nii.gz"), str(case / "second.nii.gz")]
    assert all(report["seconds"]["total"] > 0 for report in reports)
    assert ["import" in report["seconds"] for report in reports] == [True, False]
    for name in ("first", "second"):
        mask, alone = load_mask(folder / f"{name}_mask.nii.gz")[0], load_mask(tmp_path / f"{name}_alone.nii.gz")[0]
        assert np.array_equal(mask, alone)
        beside = json.loads((folder / f"{name}_mask.json").read_text())
        assert beside["input"] == json.loads((tmp_path / f"{name}_alone.json").read_text())["input"]


def test_a_ct_that_fails_is_named_and_the_others_go_on(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cts = (tmp_path / "missing.nii", case / "letter.nii", case / "first.nii.gz")
    assert segment(case, *cts, "-o", tmp_path, "--json") == 3
    printed = capsys.readouterr()
    assert [line.split(": ")[1] for line in printed.err.splitlines()] == [str(ct) for ct in cts[:2]]
    assert ["error" in json.loads(line) for line in printed.out.splitlines()] == [True, True, False]
    assert (tmp_path / "first_mask.nii.gz").is_file()


def test_masks_that_exist_are_left_and_the_others_made(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "first_mask.nii.gz").write_text("kept")
    cts = (case / "first.nii.gz", case / "second.nii.gz")
    assert segment(case, *cts, "-o", tmp_path, "--no-overwrite") == 4
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "first_mask.nii.gz").read_text() == "kept"
    assert (tmp_path / "second_mask.nii.gz").is_file()
