"""What `evaluate` prints, writes and refuses."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from donors import kidney_map
from kidneyseg.cli import main
from kidneyseg.evaluation import calibration, end_to_end, masks
from kidneyseg.evaluation import error_budget as error_budget_module
from kidneyseg.evaluation.scores import Failure, Outcome
from kidneyseg.evaluation.variants import Variants
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.models import load_model, save_model
from nifti_files import saved
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A KiTS folder of two cases with tumours, and `masks` that hold their labels."""
    folder = tmp_path_factory.mktemp("data")
    volume, truth = abdomen()
    (folder / "masks").mkdir()
    for name in ("case_00000", "case_00001"):
        (folder / "kits" / name).mkdir(parents=True)
        save_volume(volume, folder / "kits" / name / "imaging.nii.gz")
        save_mask(truth, volume, folder / "kits" / name / "segmentation.nii.gz")
        save_mask(truth, volume, folder / "masks" / f"{name}.nii.gz")
    return folder


@pytest.mark.parametrize("scored", [0, 1])
def test_an_interrupt_leaves_the_report_of_what_was_scored(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scored: int
) -> None:
    score_pairs = masks.score_pairs

    def interrupted(pairs: Any, **named: Any) -> Iterator[Outcome]:
        yield from score_pairs(pairs[:scored], **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(masks, "score_pairs", interrupted)
    out = tmp_path / "report"
    assert main(["evaluate", str(data / "masks"), str(data / "kits"), "-o", str(out)]) == 130
    assert out.exists() == bool(scored)
    if scored:
        assert "interrupted: the report holds the first 1" in capsys.readouterr().err
        told = json.loads((out / "evaluation.json").read_text())
        assert ([case["name"] for case in told["cases"]], told["interrupted"]) == (["case_00000"], True)
        assert (out / "evaluation.md").read_text().startswith("# Evaluation, interrupted")


def test_point_iou_comes_from_the_cts_beside_the_labels(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(data / "masks"), str(data / "kits")]) == 0
    told = capsys.readouterr()
    assert "| 3 classes |  1.000 |  1.000 |  1.000 |" in told.out
    assert "--cts" not in told.err
    assert "no files were written; -o DIR" in told.err


def test_a_missing_mask_is_named_and_the_other_cases_are_scored(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks, out = tmp_path / "masks", tmp_path / "report"
    masks.mkdir()
    shutil.copy(data / "masks" / "case_00000.nii.gz", masks)
    assert main(["evaluate", str(masks), str(data / "kits"), "--cts", str(data / "kits"), "-o", str(out)]) == 1
    told = capsys.readouterr().out
    assert "**case_00001**: no mask in" in told
    assert "| case_00000 |       1.000 |" in told
    assert "| 3 classes |  1.000 |  1.000 |  1.000 |" in told
    rows = list(csv.DictReader((out / "cases.csv").read_text().splitlines()))
    assert [row["tumour surface Dice"] for row in rows] == ["", "1.0"]


def test_clicks_are_simulated_and_reported(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", str(data / "kits"), "--cases", "case_00000", "--models", str(tiny_models(tmp_path))]
    out = tmp_path / "report"
    assert main([*command, "--clicks", "1", "-o", str(out)]) == 0
    told = capsys.readouterr()
    assert "| missed tumour " in told.out
    assert "case_00000            withheld tumour" in told.err
    assert (out / "clicks.md").read_text().startswith("# Clicks\n")
    assert main([*command, "--clicks", "0"]) == 2
    assert main([*command, "--clicks", "3", "--error-budget"]) == 2
    assert main(["evaluate", str(data / "masks"), str(data / "kits"), "--clicks", "3"]) == 2
    assert "--clicks needs CTs to segment" in capsys.readouterr().err


def test_only_the_named_cases_are_scored(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(data / "masks"), str(data / "kits"), "--json", "--cases", "case_00001"]) == 0
    assert [case["name"] for case in json.loads(capsys.readouterr().out)["cases"]] == ["case_00001"]


def test_without_cts_a_line_says_what_is_missing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = str(data / "masks")
    assert main(["evaluate", masks, masks, "-o", str(tmp_path / "report")]) == 0
    told = capsys.readouterr()
    assert "classes" not in told.out
    assert "no matching CT is beside the labels: point IoU needs it (--cts DIR)" in told.err
    assert "no files" not in told.err
    labels = tmp_path / "labels"
    shutil.copytree(data / "kits", labels)
    (labels / "case_00001" / "imaging.nii.gz").unlink()
    assert main(["evaluate", masks, str(labels)]) == 0
    assert "beside the labels of case_00001: point IoU" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "report"),
    [(None, "evaluation.json"), ("--error-budget", "error_budget.json"), ("--confidence", "confidence.json")],
)
def test_cases_seen_in_training_are_named(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str | None,
    report: str,
) -> None:
    failure = Failure("case_00000", "not segmented here")
    monkeypatch.setattr(end_to_end, "segment_and_score", lambda *_, **__: iter([failure]))
    monkeypatch.setattr(error_budget_module, "measure_error_budget", lambda *_, **__: iter([failure]))
    monkeypatch.setattr(calibration, "measure_confidence", lambda *_, **__: iter([failure]))
    tiny_models(tmp_path)
    command = ["evaluate", str(data / "kits"), "--models", str(tmp_path), "-o", str(tmp_path / "report")]
    command += [option] if option else []
    main(command)
    assert "warning" not in capsys.readouterr().err
    network = load_model("default-stage2", tmp_path).network
    save_model(network, tmp_path / "default-stage2.safetensors", {"trained on": ["case_00001", "case_00009"]})
    main(command)
    assert "warning: the networks were trained on case_00001, so" in capsys.readouterr().err
    assert json.loads((tmp_path / "report" / report).read_text())["seen in training"] == ["case_00001"]
    main([*command, "--cases", "case_00000"])
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "says", "arguments"),
    [
        (2, "--models needs CTs to segment", ["masks", "kits", "--models", "nowhere"]),
        (2, "--error-budget needs CTs to segment", ["masks", "kits", "--error-budget"]),
        (2, "different measurements; choose one", ["kits", "--error-budget", "--confidence"]),
        (2, "--cts goes with MASKS LABELS", ["kits", "--cts", "kits"]),
        (2, "go with --lesions", ["kits", "--insertions", "3"]),
        (2, "go with --lesions", ["kits", "--yardstick"]),
        (2, "go with --lesions", ["kits", "--transplants", "2"]),
        (2, "--insertions must be at least 1", ["kits", "--lesions", "procedural", "--insertions", "0"]),
        (2, "--transplants must be at least 1", ["kits", "--lesions", "procedural", "--transplants", "0"]),
        (2, "go with --lesions", ["kits", "--lesion-hu-of", "all"]),
        (2, "name it with --lesion-hu", ["kits", "--lesions", "procedural", "--lesion-hu-of", "all"]),
        (2, "takes kidneys from label maps", ["kits", "--lesions", "procedural", "--transplants", "2"]),
        (3, "no case case_9", ["masks", "kits", "--cases", "case_9"]),
        (3, "no folder", ["masks", "nowhere"]),
        (2, "--preset needs CTs to segment", ["masks", "kits", "--preset", "paper"]),
        (2, "--insertions needs CTs to segment", ["masks", "kits", "--insertions", "2"]),
        (3, "no label maps", ["masks", "empty"]),
    ],
)
def test_arguments_that_do_not_go_together(
    data: Path, capsys: pytest.CaptureFixture[str], code: int, says: str, arguments: list[str]
) -> None:
    (data / "empty").mkdir(exist_ok=True)
    folders = ("masks", "kits", "empty", "nowhere")
    assert main(["evaluate", *(str(data / word) if word in folders else word for word in arguments)]) == code
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("more", "rows"), [([], [5]), (["--lesion-hu-of", "all"], [3, 5])])
def test_shapes_and_kidneys_are_of_held_out_cases_and_hu_of_those_wanted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], rows: list[int]
) -> None:
    asked: list[Variants] = []

    def remember(cases: Any, spec: Any, variants: Variants, **_: Any) -> Iterator[Outcome]:
        asked.append(variants)
        yield Failure("case_00000", "not segmented here")

    monkeypatch.setattr(end_to_end, "segment_and_score", remember)
    for case in (3, 5):
        saved(tmp_path / f"case_{case:05d}.nii.gz", kidney_map((2.0, 2.0, 4.0)), np.diag([2.0, 2.0, 4.0, 1.0]))
    table = tmp_path / "hu.csv"
    columns = "case,kidney_median,kidney_percentile_90_0,tumor_median,tumor_stdev,cyst_median"
    table.write_text(f"{columns}\ncase_00003,150,180,90,25,8\ncase_00005,100,140,70,20,9\n")
    tiny_models(tmp_path)
    command = ["evaluate", str(data / "kits"), "--models", str(tmp_path), "--lesions", str(tmp_path)]
    main([*command, "--lesion-hu", str(table), "--transplants", "3", *more])
    (variants,) = asked
    shapes = variants.shapes
    assert shapes is not None
    assert shapes.kidneys is not None
    assert variants.transplants == 3
    assert not shapes.resized
    assert {one.case for one in (*shapes.lesions, *shapes.kidneys.kidneys)} == {5}
    assert [int(case) for case in shapes.contrast[:, 0]] == rows


def test_the_cases_are_named_by_a_file(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "validation.txt"
    for names, expected in ((["case_00001"], ["case_00001"]), (["case_00001", "case_00000"], None)):
        listed.write_text("\n".join(names))
        assert main(["evaluate", str(data / "masks"), str(data / "kits"), "--json", "--cases", str(listed)]) == 0
        told = [case["name"] for case in json.loads(capsys.readouterr().out)["cases"]]
        assert told == (expected or sorted(names))
    assert main(["evaluate", str(data / "masks"), str(data / "kits"), "--json", "--cases", "kits19"]) == 0
    assert [case["name"] for case in json.loads(capsys.readouterr().out)["cases"]] == ["case_00001"]
