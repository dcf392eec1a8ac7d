"""The paper's table: which networks are measured on which CTs and points, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from case_scores import point_budget as budget
from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import InputError, SettingsError
from kidneyseg.evaluation import paper_table
from kidneyseg.evaluation.end_to_end import SegmentationSpec
from kidneyseg.evaluation.error_budget import CaseBudget
from kidneyseg.evaluation.paper_table import measure_held_out, measure_paper_table
from kidneyseg.evaluation.scores import Failure
from kidneyseg.models import load_model, save_model
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training.context import TrainingSpec
from labelled_cases import labelled_cases
from tiny_networks import tiny_models


class Measuring:
    """Measures nothing; cases in `bad` fail."""

    def __init__(self) -> None:
        self.bad: set[str] = set()
        self.tried: list[tuple[str, Path | None, float]] = []
        self.bands: list[int] = []

    def measure(
        self, cases: Sequence[CaseFiles], how: SegmentationSpec, variants: Any
    ) -> Iterator[CaseBudget | Failure]:
        for case in cases:
            self.tried.append((case.name, how.models, how.settings.sampling.kept_percent))
            self.bands.append(getattr(how.settings.sampling, "bands", 0))
            yield Failure(case.name, "no room", case.name) if case.name in self.bad else budget(case.name)


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    measuring = Measuring()
    monkeypatch.setattr(paper_table, "measure_error_budget", measuring.measure)
    return measuring


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingSpec:
    """Three cases, and two folds of random networks for both methods."""
    monkeypatch.setattr(LesionLibrary, "procedural", staticmethod(partial(LesionLibrary.procedural, 3)))
    labelled_cases(tmp_path, "abc")
    for number in (1, 2):
        (tmp_path / "out" / f"fold-{number}").mkdir(parents=True)
        tiny_models(tmp_path / "out" / f"fold-{number}")
    return TrainingSpec(data=tmp_path, output=tmp_path / "out", recipe="paper", device="cpu")


def test_each_ct_is_measured_by_the_networks_of_its_fold_on_10_20_and_30_percent(
    spec: TrainingSpec, measuring: Measuring
) -> None:
    measured = measure_paper_table(spec, folds=2)
    folds = [("a", 1), ("c", 1), ("b", 2)]
    expected = [(name, spec.output / f"fold-{n}", kept) for kept in (10.0, 20.0, 30.0) for name, n in folds]
    assert measuring.tried == expected
    assert [(one.method, one.shown) for one in measured] == [
        ("paper", f"brightest {kept} % of the voxels") for kept in (10, 20, 30)
    ]
    assert [one.name for one in measured[0].budgets] == ["a", "b", "c"]
    assert measure_paper_table(spec, folds=2) == measured
    assert len(measuring.tried) == 9, "what was measured is kept"


def test_failures_are_tried_again(spec: TrainingSpec, measuring: Measuring) -> None:
    measuring.bad.add("c")
    first = measure_paper_table(spec, folds=2, fold=1)[0]
    assert [one.name for one in first.budgets] == ["a"]
    assert [one.name for one in first.outcomes] == ["a", "c"]
    measuring.bad.clear()
    measuring.tried.clear()
    assert len(measure_paper_table(spec, folds=2, fold=1)[0].budgets) == 2
    assert {name for name, *_ in measuring.tried} == {"c"}


def test_networks_of_another_method_are_measured_beside(spec: TrainingSpec, measuring: Measuring) -> None:
    for file in spec.output.glob("fold-*/default-*"):
        file.rename(file.parent / file.name.replace("default", "other"))
    other = spec.data / "beside"
    for number in (1, 2):
        (other / f"fold-{number}").mkdir(parents=True)
        tiny_models(other / f"fold-{number}")
    measured = measure_paper_table(spec, folds=2, beside=other)
    assert [one.method for one in measured] == ["paper"] * 3 + ["default"]
    assert measured[-1].shown == "brightest 65 % of the body's cells"
    assert {folder for _, folder, _ in measuring.tried[-3:]} == {other / "fold-1", other / "fold-2"}


def test_networks_that_are_missing_or_know_the_fold_are_refused(spec: TrainingSpec, measuring: Measuring) -> None:
    with pytest.raises(SettingsError, match="fold must be 1 to 2, not 3"):
        measure_paper_table(spec, folds=2, fold=3)
    path = spec.output / "fold-1" / "paper-stage1.safetensors"
    save_model(load_model("paper-stage1", path.parent).network, path, {"trained on": ["b", "c"]})
    with pytest.raises(SettingsError, match="was trained on c, which is to be scored"):
        measure_paper_table(spec, folds=2)
    path.unlink()
    with pytest.raises(InputError, match=r"there is no .*paper-stage1.safetensors; train it first"):
        measure_paper_table(spec, folds=2)
    assert not measuring.tried


def test_other_networks_are_not_mixed_with_what_was_measured(spec: TrainingSpec, measuring: Measuring) -> None:
    measure_paper_table(spec, folds=2)
    path = spec.output / "fold-1" / "paper-stage2.safetensors"
    save_model(load_model("paper-stage2", path.parent).network, path, {"steps": 7})
    with pytest.raises(SettingsError, match=r"begun with another networks: .* remove .*paper-10 to measure again"):
        measure_paper_table(spec, folds=2)


def test_points_with_inserted_tumours_are_pooled_over_real_runs(spec: TrainingSpec) -> None:
    measured = measure_paper_table(spec, folds=2, fold=1)
    assert [one.name for one in measured[0].budgets] == ["a_inserted", "c_inserted"]
    for one, kept in zip(measured, (0.1, 0.2, 0.3), strict=True):
        for case in one.budgets:
            assert np.sum(case.stage1_confusion) >= kept * 100 * 80 * 30
            assert set(case.classes) == {"kidney", "tumour"}
    recall = [one.budgets[0].classes["kidney"].stage1_coverage for one in measured]
    assert recall == sorted(recall)


def test_the_validation_cases_of_a_training_are_measured_as_published_too(
    spec: TrainingSpec, measuring: Measuring
) -> None:
    tiny_models(spec.output)
    held_out = replace(spec, validate=("a", "c"))
    measured = measure_held_out(held_out)
    assert measuring.tried == [(name, spec.output, kept) for kept in (3.0, 10.0, 20.0, 30.0) for name in "ac"]
    assert [one.shown for one in measured] == [f"brightest {kept} % of the voxels" for kept in (3, 10, 20, 30)]
    assert measuring.bands == [1, 1, 3, 3, 3, 3, 3, 3], "the paper's share is one band"
    assert measure_held_out(held_out) == measured
    assert len(measuring.tried) == 8, "what was measured is kept"


def test_networks_without_validation_cases_or_trained_on_them_are_refused(
    spec: TrainingSpec, measuring: Measuring
) -> None:
    with pytest.raises(SettingsError, match="name those of the training with --validate"):
        measure_held_out(spec)
    held_out = replace(spec, validate=("a",))
    with pytest.raises(InputError, match=r"there is no .*out/paper-stage1.safetensors; train it first"):
        measure_held_out(held_out)
    tiny_models(spec.output)
    path = spec.output / "paper-stage2.safetensors"
    save_model(load_model("paper-stage2", spec.output).network, path, {"trained on": ["a", "b"]})
    with pytest.raises(SettingsError, match="was trained on a, which is to be scored"):
        measure_held_out(held_out)
    assert not measuring.tried
