"""Samples of stage 1: fields of view of whole CTs, cut as inference cuts them."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.datasets.cases import LabelledGrid, whole_grid
from kidneyseg.errors import CaseError
from kidneyseg.points.body import body_mask_on
from kidneyseg.points.features import hu_features
from kidneyseg.points.sampling import kept_inside
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.subject import Subject
from kidneyseg.training import stage1_sampler
from kidneyseg.training.stage1_sampler import Stage1Sampler, plain_stage1
from training_cases import only, save_case, stage1_recipe, whole_ct


def test_samples_repeat_by_seed_and_differ_by_seed() -> None:
    sampler = Stage1Sampler([whole_ct()], stage1_recipe(), 65.0, LesionLibrary.procedural(5))
    first, again, other = (sampler.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.cells, again.cells)
    assert np.array_equal(first.features, again.features)
    assert np.array_equal(first.labels, again.labels)
    assert first.features.shape != other.features.shape or not np.array_equal(first.features, other.features)
    assert first.cells.min() >= 0
    assert np.abs(first.features).max() <= 1.0
    assert first.case == "made"
    assert set(np.unique(first.labels)) <= {0, 1}


def test_the_kept_share_varies_around_that_of_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []

    def noting(hu: np.ndarray, inside: np.ndarray, kept_percent: float) -> np.ndarray:
        shares.append(kept_percent)
        return kept_inside(hu, inside, kept_percent)

    monkeypatch.setattr(stage1_sampler, "kept_inside", noting)
    sampler = Stage1Sampler([whole_ct()], stage1_recipe(anatomy=(), intensity=()), 60.0)
    for seed in range(60):
        sampler.draw(np.random.default_rng(seed))
    assert 45 <= min(shares) < 50
    assert 70 < max(shares) <= 75


def test_no_lesion_is_inserted_where_there_are_tumour_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways: a case without tumour labels gets some."""
    given: list[tuple[str, bool]] = []
    of = Subject.of

    def noting(anatomy: stage1_sampler.GridAnatomy, lesions: LesionLibrary | None) -> Subject:
        given.append((anatomy.grid.case, lesions is not None))
        return of(anatomy, lesions)

    monkeypatch.setattr(Subject, "of", noting)
    grids = [whole_ct(), replace(whole_ct(tumour=True), case="own")]
    sampler = Stage1Sampler(grids, stage1_recipe(), 65.0, LesionLibrary.procedural(6))
    for seed in range(20):
        sampler.draw(np.random.default_rng(seed))
    assert set(given) == {("made", True), ("own", False)}


def test_tumour_counts_as_kidney() -> None:
    recipe = stage1_recipe(intensity=(), anatomy=only(stage1_recipe().anatomy, "lesions"))
    sampler = Stage1Sampler([whole_ct()], recipe, 65.0, LesionLibrary.procedural(6))
    assert all(sampler.draw(np.random.default_rng(seed)).labels.max() <= 1 for seed in range(5))


def air() -> LabelledGrid:
    shape = (30, 30, 30)
    return LabelledGrid(
        np.full(shape, -125, np.int16), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), 4.0, case="air"
    )


def test_a_case_of_air_is_an_error_of_that_case() -> None:
    sampler = Stage1Sampler([air()], stage1_recipe(), 65.0, LesionLibrary.procedural(2))
    with pytest.raises(CaseError, match="air: 50 samples in a row show too little tissue"):
        sampler.draw(np.random.default_rng(0))


def test_beside_others_a_case_of_air_is_not_drawn() -> None:
    sampler = Stage1Sampler([air(), whole_ct()], stage1_recipe(), 65.0)
    assert {sampler.draw(np.random.default_rng(seed)).case for seed in range(8)} == {"made"}


def test_what_was_computed_of_a_ct_is_kept_and_freed_with_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[object]] = []

    class Noted(stage1_sampler.GridAnatomy):
        def __init__(self, grid: LabelledGrid) -> None:
            super().__init__(grid)
            made.append(weakref.ref(self))

    monkeypatch.setattr(stage1_sampler, "GridAnatomy", Noted)
    monkeypatch.setattr(stage1_sampler, "MAX_ANATOMIES", 2)
    grids = [replace(whole_ct(), case=str(i)) for i in range(3)]
    kept = weakref.ref(grids[0])
    sampler = Stage1Sampler(grids, stage1_recipe(), 65.0)
    rng = np.random.default_rng(0)
    for _ in range(10):
        sampler.draw(rng)
    gc.collect()
    assert sum(one() is not None for one in made) == 2, "no more than MAX_ANATOMIES"
    assert len(made) > 3
    del sampler, grids
    gc.collect()
    assert not any(one() is not None for one in made)
    assert kept() is None


def test_validation_samples_are_as_inference_samples(tmp_path: Path) -> None:
    grid = whole_grid(save_case(tmp_path), 4.0, tmp_path)
    sample = plain_stage1(grid, 65.0)
    kept = kept_inside(grid.hu, body_mask_on(grid.hu), 65.0)
    assert np.array_equal(sample.cells, np.argwhere(kept))
    assert np.array_equal(sample.features, hu_features(grid.hu[kept], 1))
    assert sample.labels.max() == 1
    assert sample.labels.sum() == (grid.labels > 0).sum()
