"""What `crossvalidate` scores on, and what it makes of cases that cannot be scored."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kidneyseg import evaluation
from kidneyseg.cli.bench import Bench
from kidneyseg.cli.crossvalidate import _report, _score, _scoring, _variants
from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.evaluation import Failure, Outcome, score_case
from kidneyseg.synthesis.insertion import LesionLibrary
from kidneyseg.training.distributed import Ranks


def bench(output: Path = Path("out"), shapes: LesionLibrary | None = None, **other: object) -> Bench:
    asked = {
        "preset": "default",
        "seed": 0,
        "insertions": 2,
        "lesions_unlabelled": ["a"],
        "device": "cpu",
        "fold": None,
    }
    arguments = Namespace(output=output, **{**asked, **other})
    return Bench(arguments, torch.device("cpu"), Ranks(), None, shapes, Path("cache"))


def test_networks_of_other_seeds_are_scored_on_the_same_insertions() -> None:
    shapes = LesionLibrary.procedural(count=3)
    assert _variants(bench(shapes=shapes)) == _variants(bench(shapes=shapes, seed=1))
    assert _scoring(bench(shapes=shapes)) == _scoring(bench(shapes=shapes, seed=1))
    assert _scoring(bench(shapes=shapes)) != _scoring(bench(shapes=shapes, insertions=3))


def test_a_case_that_fails_is_in_the_report_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((8, 8, 8), np.uint8)
    mask[2:6, 2:6, 2:6] = 1
    bad, tried = {"b"}, []

    def segment_and_score(cases: Sequence[CaseFiles], *_: Any, **__: Any) -> Iterator[Outcome]:
        (case,) = cases
        tried.append(case.name)
        yield score_case(mask, mask, (1, 1, 1), name=case.name)
        if case.name in bad:
            yield Failure(f"{case.name}_inserted", "no room", case.name)

    monkeypatch.setattr(evaluation, "segment_and_score", segment_and_score)
    parts = [[CaseFiles(name, Path(), Path())] for name in "ab"]
    work = bench(tmp_path)
    _score(parts[0], tmp_path / "fold-1", work)
    assert _report(parts, work) == 1
    assert "not tried yet: b; run the same command again" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    _score(parts[1], tmp_path / "fold-2", work)
    assert _report(parts, work) == 1
    assert "what failed of b" in capsys.readouterr().err
    told = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert [case["name"] for case in told["cases"]] == ["a", "b"]
    assert told["failures"] == [{"name": "b_inserted", "error": "no room"}]
    bad.clear()
    for number, part in enumerate(parts, start=1):
        _score(part, tmp_path / f"fold-{number}", work)
    assert tried == ["a", "b", "b"]
    assert _report(parts, work) == 0
