from dataclasses import replace

import numpy as np
import pytest

from donors import kidney_library
from kidneyseg.errors import InputError
from kidneyseg.evaluation import variants
from kidneyseg.evaluation.scores import (
    AS_IS,
    CYSTS,
    EXTRARENAL,
    HEALTHY,
    INSERTED,
    LESIONS_UNLABELLED,
    SLABS,
    TRANSPLANTED,
)
from kidneyseg.evaluation.variants import YARDSTICK, YARDSTICK_FOLDS, Variants, case_variants
from kidneyseg.imaging.nifti import load_mask, load_volume, save_mask, save_volume
from kidneyseg.synthesis.growth_types import GROWTH_TYPES
from kidneyseg.synthesis.lesion_library import LesionLibrary
from labelled_cases import labelled_cases
from volumes import abdomen

SHAPES = LesionLibrary.procedural(12, seed=1)


@pytest.fixture
def cases(tmp_path):
    return labelled_cases(tmp_path)


def test_without_shapes_there_is_the_original_only(cases):
    (variant,) = case_variants(cases[0], Variants())
    assert (variant.name, variant.group) == ("a", AS_IS)
    assert np.array_equal(variant.volume.hu, abdomen()[0].hu)
    assert variant.truth.max() == 1


def test_insertions_differ_and_are_repeatable(cases):
    def versions(*chosen, **more):
        wanted = Variants(SHAPES, **more, lesions_unlabelled=frozenset({"b"}))
        return [variant for case in chosen for variant in case_variants(case, wanted)]

    first = versions(*cases, insertions=2, as_is=True)
    assert [one.name for one in first] == ["a", "a_inserted0", "a_inserted1", "b", "b_inserted0", "b_inserted1"]
    assert [one.group for one in first] == [AS_IS, INSERTED, INSERTED, LESIONS_UNLABELLED, INSERTED, INSERTED]
    inserted = [one for one in first if one.group == INSERTED]
    original = abdomen()[0].hu
    for one in inserted:
        assert (one.truth == 2).any()
        assert (one.volume.hu != original)[one.truth == 2].mean() > 0.9
        assert one.volume.hu.flags.f_contiguous
    assert len({one.truth.tobytes() for one in inserted}) == 4
    # The second insertion is the first one of the next seed, whatever the other cases are.
    (again,) = versions(cases[1], seed=1)
    assert np.array_equal(again.volume.hu, inserted[3].volume.hu)
    assert np.array_equal(again.truth, inserted[3].truth)


def test_a_ct_without_room_for_a_tumour_is_refused(cases):
    save_mask(np.zeros_like(load_mask(cases[0].labels)[0]), abdomen()[0], cases[0].labels)
    with pytest.raises(InputError, match="no room for a tumour in a;"):
        list(case_variants(cases[0], Variants(SHAPES)))


def test_versions_of_each_growth_type_and_with_masses_beside_the_kidneys(cases, monkeypatch):
    monkeypatch.setattr(variants, "GROWTH_TYPES", [GROWTH_TYPES[0], GROWTH_TYPES[3]])
    chosen = Variants(SHAPES, insertions=3, growth_types=True, extrarenal=1)
    made = list(case_variants(cases[0], chosen))
    assert [one.name for one in made] == ["a_endophytic", "a_multiple", "a_endophytic1", "a_extrarenal0"]
    assert [one.growth for one in made] == ["endophytic", "multiple", "endophytic", ""]
    assert [one.group for one in made] == [INSERTED] * 3 + [EXTRARENAL]
    assert all((one.truth == 2).any() for one in made[:3])
    assert not np.array_equal(made[0].truth, made[2].truth)
    mass = made[3].extrarenal
    assert mass.any()
    assert not made[3].truth[mass].any()
    assert (made[3].volume.hu != abdomen()[0].hu)[mass].mean() > 0.8
    assert not (made[3].truth == 2).any()
    again = list(case_variants(cases[0], chosen))
    assert all(np.array_equal(a.volume.hu, b.volume.hu) for a, b in zip(made, again, strict=True))


def test_versions_with_cysts_have_no_tumours_and_differ(cases):
    one, other = case_variants(cases[0], Variants(LesionLibrary.procedural(8, seed=3), insertions=0, cysts=2))
    assert [one.name, other.name, one.group] == ["a_cysts0", "a_cysts1", CYSTS]
    for made in (one, other):
        assert (made.truth == 3).sum() > 20
        assert not (made.truth == 2).any()
    assert not np.array_equal(one.truth, other.truth)


def test_slabs_go_through_both_ends_and_the_middle_of_the_kidneys(cases, tmp_path):
    whole, *slabs = case_variants(cases[0], Variants(SHAPES, insertions=0, slabs=3, as_is=True))
    assert [(one.name, one.group) for one in slabs] == [(f"a_slab{i}", SLABS) for i in range(3)]
    axis, edge = whole.volume.slice_axis, whole.volume.spacing_mm[whole.volume.slice_axis]
    kidney_ml = []
    for one in slabs:
        assert one.volume.shape[axis] == round(55.0 / edge)
        first = (np.linalg.inv(whole.volume.affine) @ one.volume.affine[:, 3])[axis]
        part = np.take(whole.volume.hu, range(round(first), round(first) + one.volume.shape[axis]), axis)
        np.testing.assert_array_equal(one.volume.hu, part)
        assert one.volume.hu.flags.f_contiguous
        assert one.truth.shape == one.volume.shape
        save_volume(one.volume, tmp_path / "slab.nii.gz")
        again = load_volume(tmp_path / "slab.nii.gz")
        np.testing.assert_array_equal(again.hu, one.volume.hu)
        np.testing.assert_allclose(again.affine, one.volume.affine, atol=1e-4)
        kidney_ml.append((one.truth > 0).sum() * one.volume.voxel_ml)
    assert 0 < kidney_ml[0] < kidney_ml[1] > kidney_ml[2] > 0


def test_versions_with_kidneys_of_others_are_in_turn_with_lesions_and_healthy(cases):
    shapes = replace(SHAPES, kidneys=kidney_library())
    made = list(case_variants(cases[0], Variants(shapes, insertions=0, transplants=4)))
    assert [(one.name, one.group) for one in made] == [
        ("a_transplant0", TRANSPLANTED),
        ("a_healthy0", HEALTHY),
        ("a_transplant1", TRANSPLANTED),
        ("a_healthy1", HEALTHY),
    ]
    original, truth = abdomen()[0].hu, load_mask(cases[0].labels)[0]
    for one in made:
        assert (one.truth == 2).any() == (one.group == TRANSPLANTED)
        changed = (one.truth > 0) != (truth > 0)
        assert changed.any()
        assert (one.volume.hu != original)[changed].mean() > 0.8
        assert one.volume.hu.flags.f_contiguous
        assert one.truth.flags.f_contiguous
        assert not one.growth
    assert len({one.truth.tobytes() for one in made}) == 4


def test_a_ct_whose_kidneys_cannot_be_replaced_is_refused(cases):
    save_mask(np.zeros_like(load_mask(cases[0].labels)[0]), abdomen()[0], cases[0].labels)
    shapes = replace(SHAPES, kidneys=kidney_library())
    with pytest.raises(InputError, match="no room for a donor kidney in a;"):
        list(case_variants(cases[0], Variants(shapes, insertions=0, transplants=1)))


def test_the_yardstick_has_a_version_of_each_type():
    assert (YARDSTICK.insertions, YARDSTICK.growth_types, YARDSTICK.extrarenal, YARDSTICK.cysts) == (8, True, 2, 2)
    assert (YARDSTICK.slabs, YARDSTICK.as_is, YARDSTICK_FOLDS) == (3, True, 5)
