"""Cross-validation: what is scored, and what becomes of cases that cannot be scored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import SettingsError
from kidneyseg.evaluation import cross_validation
from kidneyseg.evaluation.cross_validation import CrossValidation, cross_validate
from kidneyseg.evaluation.scores import Failure, Outcome, score_case
from kidneyseg.evaluation.variants import YARDSTICK, Variants
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training.context import TrainingContext, TrainingSpec
from kidneyseg.training.run_folder import BusyError, lock


class Scoring:
    """Trains nothing and scores every case alike; cases in `bad` fail."""

    def __init__(self) -> None:
        self.bad: set[str] = set()
        self.tried: list[tuple[str, Path]] = []
        self.variants: Any = None

    def train_fold(self, number: int, parts: Sequence[Sequence[CaseFiles]], context: TrainingContext) -> list[Path]:
        return []

    def segment_and_score(self, cases: Sequence[CaseFiles], how: Any, variants: Any, **_: Any) -> Iterator[Outcome]:
        mask = np.zeros((8, 8, 8), np.uint8)
        mask[2:6, 2:6, 2:6] = 1
        self.variants = variants
        for case in cases:
            self.tried.append((case.name, how.models))
            yield score_case(mask, mask, (1, 1, 1), name=case.name)
            if case.name in self.bad:
                yield Failure(f"{case.name}_inserted", "no room", case.name)


@pytest.fixture
def scoring(monkeypatch: pytest.MonkeyPatch) -> Scoring:
    scoring = Scoring()
    monkeypatch.setattr(cross_validation, "train_fold", scoring.train_fold)
    monkeypatch.setattr(cross_validation, "segment_and_score", scoring.segment_and_score)
    return scoring


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingSpec:
    """Three cases that nothing reads; few shapes to insert."""
    monkeypatch.setattr(LesionLibrary, "procedural", staticmethod(partial(LesionLibrary.procedural, 3)))
    for name in "abc":
        for kind in ("ct", "kidney"):
            (tmp_path / f"{name}_{kind}.nii.gz").touch()
    return TrainingSpec(data=tmp_path, output=tmp_path / "out", device="cpu", lesions_unlabelled=frozenset("a"))


def done(result: CrossValidation | None) -> CrossValidation:
    assert result is not None
    return result


def test_each_case_is_scored_once_by_the_networks_of_its_fold(spec: TrainingSpec, scoring: Scoring) -> None:
    said: list[str] = []
    result = done(cross_validate(spec, folds=2, versions=Variants(insertions=2), say=said.append))
    assert scoring.tried == [(name, spec.output / f"fold-{n}") for name, n in (("a", 1), ("c", 1), ("b", 2))]
    assert [outcome.name for outcome in result.outcomes] == ["a", "b", "c"]
    assert not result.missing
    assert not result.failed
    assert "a: kidney Dice 1.000" in said
    assert (scoring.variants.insertions, scoring.variants.as_is) == (2, True)
    assert scoring.variants.lesions_unlabelled == {"a"}
    report = json.loads((spec.output / "report" / "evaluation.json").read_text())
    assert report["scored by networks trained on the others"] == {"fold 1": ["a", "c"], "fold 2": ["b"]}
    assert done(cross_validate(spec, folds=2, versions=Variants(insertions=2))).outcomes == result.outcomes
    assert len(scoring.tried) == 3


def test_a_failed_case_is_reported_and_tried_again(spec: TrainingSpec, scoring: Scoring) -> None:
    scoring.bad.add("b")
    result = done(cross_validate(spec, folds=2, fold=1))
    assert result.missing == ("b",)
    assert not (spec.output / "report").exists()
    result = done(cross_validate(spec, folds=2, fold=2))
    assert result.failed == ["b"]
    report = json.loads((spec.output / "report" / "evaluation.json").read_text())
    assert report["failures"] == [{"name": "b_inserted", "error": "no room"}]
    scoring.bad.clear()
    scoring.tried.clear()
    assert not done(cross_validate(spec, folds=2)).failed
    assert [name for name, _ in scoring.tried] == ["b"]


def test_networks_of_other_seeds_are_scored_on_the_same_insertions(spec: TrainingSpec, scoring: Scoring) -> None:
    cross_validate(spec, folds=2)
    first = scoring.variants
    cross_validate(replace(spec, seed=1, output=spec.output / "other"), folds=2)
    assert scoring.variants.seed == first.seed
    assert scoring.variants.shapes.key == first.shapes.key
    with pytest.raises(SettingsError, match=r"begun with another insertions: 1, not 3; .* remove .*scores"):
        cross_validate(spec, folds=2, versions=Variants(insertions=3))


def test_a_fold_at_which_another_process_works_is_left_to_it(spec: TrainingSpec, scoring: Scoring) -> None:
    said: list[str] = []
    with lock(spec.output / "fold-1"):
        result = done(cross_validate(spec, folds=2, say=said.append))
        assert result.missing == ("a", "c")
        assert any("(fold 1 is left to it)" in line for line in said)
        with pytest.raises(BusyError):
            cross_validate(spec, folds=2, fold=1)


def test_wrong_folds_are_refused(spec: TrainingSpec) -> None:
    with pytest.raises(SettingsError, match="fold must be 1 to 2, not 3"):
        cross_validate(spec, folds=2, fold=3)
    with pytest.raises(SettingsError, match="leave out the validation cases"):
        cross_validate(replace(spec, validate=("a",)))


def test_the_yardsticks_versions_are_scored_and_kept_apart(spec: TrainingSpec, scoring: Scoring) -> None:
    cross_validate(spec, folds=2, versions=YARDSTICK)
    chosen = scoring.variants
    assert replace(chosen, shapes=None, lesions_unlabelled=frozenset()) == YARDSTICK
    for change in ({"slabs": 2}, {"extrarenal": 1}, {"cysts": 1}, {"growth_types": False}):
        with pytest.raises(SettingsError, match=r"remove .*scores"):
            cross_validate(spec, folds=2, versions=replace(YARDSTICK, **change))
