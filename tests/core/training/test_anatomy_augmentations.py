"""Anatomical augmentations: what each changes, and what it needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from donors import kidney_library
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.subject import GridAnatomy, Subject
from kidneyseg.training.augmentation import REGISTRY, Augmentation
from kidneyseg.training.recipe import load_recipe
from training_cases import whole_ct

LIBRARY = replace(LesionLibrary.procedural(6), kidneys=kidney_library())
NEEDS_ORGANS, NEEDS_LESIONS = (
    {"corticomedullary_contrast", "contrast_phase"},
    {"pseudotumours", "lesions", "transplant", "extrarenal_mass"},
)


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
    assert moved == (name not in NEEDS_ORGANS | {"extrarenal_mass"})
    assert any(one.extrarenal is not None for one in changed) == (name == "extrarenal_mass")
    tumour = any((one.labels == 2).any() for one in changed)
    assert tumour == (name in {"lesions", "transplant"})


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


def test_a_transplant_brings_its_own_anatomy_for_what_follows(subject: Subject) -> None:
    transplant = Augmentation("anatomy", "transplant", 1.0, {"lesion_probability": 1.0, "both_probability": 1.0})
    changed = transplant(subject, np.random.default_rng(0))
    assert set(np.unique(changed.labels)) == {0, 1, 2, 3}
    assert (changed.labels == 2).sum() > 20
    assert changed.weights is None
    assert changed.anatomy is not subject.anatomy
    np.testing.assert_array_equal(changed.anatomy.grid.labels, changed.labels)
    # Organs follow: fat around the new kidneys, lesions on them.
    assert ((changed.anatomy.grid.organs == 2) | (changed.anatomy.grid.organs == 3))[changed.labels == 1].mean() > 0.8
    assert Augmentation("anatomy", "contrast_phase", 1.0)(changed, np.random.default_rng(0)) is changed
    more = Augmentation("anatomy", "lesions", 1.0, {"cyst_odds": (1.0,)})(changed, np.random.default_rng(1))
    assert (more.labels == 2).sum() > (changed.labels == 2).sum()


def test_without_whole_kidneys_nothing_is_transplanted(subject: Subject) -> None:
    bare = replace(subject, lesions=LesionLibrary.procedural(6))
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    assert Augmentation("anatomy", "transplant", 1.0)(bare, rng) is bare
    assert rng.bit_generator.state == state


def test_the_recipe_transplants_after_the_contrast_phase_and_before_lesions() -> None:
    recipe = load_recipe("whole_kidneys")
    for stage in ("stage1", "coarse", "stage2"):
        names = [one.name for one in recipe.stage(stage).anatomy]  # type: ignore[attr-defined]
        assert names.index("contrast_phase") < names.index("transplant") < names.index("lesions")
    assert recipe.uses("transplant")
    assert not load_recipe("default").uses("transplant")
