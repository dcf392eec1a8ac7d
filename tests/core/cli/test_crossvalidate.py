"""`kidneyseg crossvalidate`: what it prints, and its exit codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kidneyseg.cli.main import main
from kidneyseg.evaluation import cross_validation, paper_table
from kidneyseg.evaluation.cross_validation import CrossValidation
from kidneyseg.evaluation.paper_table import Measured
from kidneyseg.evaluation.scores import Failure, score_case
from kidneyseg.evaluation.variants import YARDSTICK, Variants
from kidneyseg.training import runs

MASK = np.pad(np.ones((4, 4, 4), np.uint8), 2)
SCORE = score_case(MASK, MASK, (1, 1, 1), name="a")
FAILED = Failure("b_inserted", "no room", "b")
REPORT = (Path("report/evaluation.json"),)


@pytest.mark.parametrize(
    ("result", "more", "code", "said"),
    [
        (CrossValidation((SCORE,), (), REPORT), [], 0, "report/evaluation.json"),
        (CrossValidation((SCORE, FAILED), (), REPORT), [], 1, "not everything of b was scored; the report says why"),
        (CrossValidation((SCORE,), ("b", "c"), ()), [], 1, "not scored yet: b, c; run the same command again"),
        (CrossValidation((SCORE,), ("b",), ()), ["--fold", "1"], 1, "not scored yet: b; run it for the other folds"),
        (None, [], 0, ""),
    ],
)
def test_the_report_is_printed_once_all_is_scored(
    result: CrossValidation | None,
    more: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def cross_validate(spec: Any, *, folds: int, fold: int | None, versions: Variants, **_: Any) -> Any:
        assert (spec.data, folds, fold) == (Path("DATA"), 4, 1 if more else None)
        assert versions == Variants(insertions=2)
        return result

    monkeypatch.setattr(cross_validation, "cross_validate", cross_validate)
    assert main(["crossvalidate", "DATA", "-o", "OUT", "--folds", "4", "--insertions", "2", *more]) == code
    printed = capsys.readouterr()
    assert said in printed.err
    assert ("| a " in printed.out) == (result is not None and not result.missing)


def test_the_yardstick_has_its_folds_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, Variants]] = []

    def cross_validate(spec: Any, *, folds: int, versions: Variants, **_: Any) -> None:
        asked.append((folds, versions))

    monkeypatch.setattr(cross_validation, "cross_validate", cross_validate)
    for more in (["--yardstick"], [], ["--yardstick", "--folds", "2", "--insertions", "0"]):
        assert main(["crossvalidate", "DATA", "-o", "OUT", *more]) == 0
    assert asked == [(5, YARDSTICK), (3, Variants()), (2, replace(YARDSTICK, insertions=0))]


@pytest.mark.parametrize("more", ["--no-insertion", "--paper-table"])
def test_the_yardstick_needs_inserted_tumours_and_masks(more: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crossvalidate", "DATA", "-o", "OUT", "--yardstick", more]) == 2
    assert "--yardstick scores" in capsys.readouterr().err


def test_final_trains_on_all_cases(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(runs, "train_final", lambda spec, **_: [spec.output / "final" / "x.safetensors"])
    assert main(["crossvalidate", "DATA", "-o", "OUT", "--final"]) == 0
    assert capsys.readouterr().out == "OUT/final/x.safetensors\n"


def test_the_papers_table_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(spec: Any, *, folds: int, fold: int | None, beside: Path | None, **_: Any) -> list[Measured]:
        assert (spec.method, folds, fold, beside) == ("paper", 3, 2, Path("CV"))
        return [Measured("paper", "some points", (FAILED,) if failing else ())]

    monkeypatch.setattr(paper_table, "measure_paper_table", measure)
    command = ["crossvalidate", "DATA", "-o", str(tmp_path), "--preset", "paper", "--fold", "2", "--paper-table"]
    for failing in (False, True):
        assert main([*command, "--beside", "CV"]) == int(failing)
        printed = capsys.readouterr()
        assert "| stage 2, published |" in printed.out
        assert ("**b_inserted**: no room" in printed.out) == failing
        assert str(tmp_path / "report" / "paper_table.md") in printed.err


@pytest.mark.parametrize("more", [["--beside", "CV"], ["--paper-table", "--final"]])
def test_what_belongs_to_the_papers_table_alone_is_refused(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crossvalidate", "DATA", "-o", "OUT", *more]) != 0
    assert "leave " in capsys.readouterr().err
