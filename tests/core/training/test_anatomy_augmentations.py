"""Anatomical augmentations: what each changes, and what it needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.subject import GridAnatomy, Subject
from kidneyseg.training.augmentation import REGISTRY, Augmentation
from kidneyseg.training.recipe import load_recipe
from training_cases import whole_ct

LIBRARY = LesionLibrary.procedural(6)
NEEDS_ORGANS, NEEDS_LESIONS = {"corticomedullary_contrast", "contrast_phase"}, {"pseudotumours", "lesions"}


@pytest.fixture(scope="module")
def subject() -> Subject:
    """Two kidneys whose inner halves are darker, with an organ map."""
    grid = whole_ct()
    hu = grid.hu.copy()
    hu[:, grid.hu.shape[1] // 2 :][grid.labels[:, grid.hu.shape[1] // 2 :] > 0] = 110
    return Subject.of(GridAnatomy(replace(grid, hu=hu)), LIBRARY)


@pytest.mark.parametrize("name", REGISTRY["anatomy"])
def test_each_changes_hu_and_leaves_the_ct_as_it_was(name: str, subject: Subject) -> None:
    hu, labels = subject.hu.copy(), subject.labels.copy()
    changed = [Augmentation("anatomy", name, 1.0)(subject, np.random.default_rng(seed)) for seed in range(4)]
    assert any((one.hu != hu).any() for one in changed)
    np.testing.assert_array_equal(subject.hu, hu)
    np.testing.assert_array_equal(subject.labels, labels)
    moved = any((one.labels != labels).any() for one in changed)
    assert moved == (name not in NEEDS_ORGANS)
    tumour = any((one.labels == 2).any() for one in changed)
    assert tumour == (name == "lesions")


@pytest.mark.parametrize("name", REGISTRY["anatomy"])
def test_without_organs_or_lesions_what_needs_them_is_skipped(name: str) -> None:
    bare = Subject.of(GridAnatomy(whole_ct(organs=False)))
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    assert Augmentation("anatomy", name, 1.0)(bare, rng) is bare
    assert (rng.bit_generator.state == state) or name not in NEEDS_ORGANS | NEEDS_LESIONS


def test_lesions_have_the_contrast_of_the_phase_before(subject: Subject) -> None:
    """A tumour in a kidney that was darkened is darker."""
    medians = []
    for hu in (subject.hu, subject.hu - 60):
        lesions = Augmentation("anatomy", "lesions", 1.0, {"cyst_odds": (1.0,)})
        changed = [lesions(replace(subject, hu=hu), np.random.default_rng(seed)) for seed in range(6)]
        medians.append(np.median(np.concatenate([one.hu[one.labels == 2] for one in changed])))
    assert medians[0] > medians[1] + 20


def test_the_recipe_inserts_pseudotumours_before_the_lesions_that_they_might_cover() -> None:
    for stage in ("coarse", "stage2"):
        names = [one.name for one in load_recipe("default").stage(stage).anatomy]  # type: ignore[attr-defined]
        assert names.index("pseudotumours") < names.index("lesions")
