"""Inserted lesions: where they lie, what they leave alone, and that the HU are those that were asked for."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.synthesis.insertion import (
    LesionLibrary,
    find_hosts,
    insert_lesion,
    insert_random_lesions,
    is_held_out,
    procedural_lesion,
)
from kidneyseg.synthesis.lesion_shapes import cut_lesions
from kidneyseg.synthesis.pseudotumours import insert_pseudotumour

KITS = Path(__file__).resolve().parents[4] / "shared" / "data"
THICK = (0.9, 0.9, 5.0)


def ball(shape, spacing, centre_mm, axes_mm):
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij"), -1)
    return (((grid - np.asarray(centre_mm)) / np.asarray(axes_mm)) ** 2).sum(-1) < 1


def host(spacing=(1.5, 1.5, 1.5), kidney_hu=120, size_mm=(110, 110, 130)):
    """One kidney of some 150 mL in fat, with a spine beside it and a liver above it."""
    rng = np.random.default_rng(7)
    shape = tuple(round(n / s) for n, s in zip(size_mm, spacing, strict=True))
    hu = np.full(shape, -95.0)
    kidney = ball(shape, spacing, (60, 55, 60), (27, 25, 52))
    liver = ball(shape, spacing, (55, 55, 150), (60, 60, 40)) & ~kidney
    spine = ball(shape, spacing, (0, 50, 60), (22, 22, 200))
    hu[kidney], hu[liver], hu[spine] = kidney_hu, 70, 500
    hu += rng.normal(0, 12, shape)
    organs = np.where(liver, 6, 0).astype(np.uint8)
    organs[kidney] = 2
    return np.asfortranarray(hu.astype(np.int16)), np.asfortranarray(kidney.astype(np.uint8)), organs, spine


@pytest.fixture(scope="module")
def library():
    return LesionLibrary.procedural(24, seed=1)


def test_a_tumour_lies_on_the_kidney_and_has_the_volume_and_hu_asked_for(library):
    hu, labels, organs, _ = host()
    lesion = procedural_lesion(np.random.default_rng(3))
    new_hu, new_labels, done = insert_lesion(
        hu, labels, (1.5,) * 3, lesion, np.random.default_rng(0), ml=12.0, library=library, organs=organs
    )
    tumour = new_labels == 2
    assert done is not None
    assert done.ml == pytest.approx(12.0, rel=0.15)
    assert tumour.sum() * 1.5**3 / 1000 == pytest.approx(done.ml)
    np.testing.assert_allclose(np.argwhere(tumour).mean(axis=0), done.centre, atol=0.01)
    assert np.median(new_hu[tumour]) == pytest.approx(done.hu, abs=12)
    assert (labels[tumour] == 1).any()
    assert new_hu.dtype == np.int16
    assert new_labels.dtype == np.uint8
    assert new_hu.flags.f_contiguous


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), THICK, (4.0, 4.0, 4.0)])
def test_organs_bone_and_the_rest_of_the_ct_stay(library, spacing):
    hu, labels, organs, spine = host(spacing)
    new_hu, new_labels, done = insert_random_lesions(
        hu, labels, spacing, library, np.random.default_rng(4), 2, cysts=1, organs=organs
    )
    assert {lesion.kind for lesion in done} == {"tumour", "cyst"}
    tumour = new_labels == 2
    assert ((organs == 6) & tumour).sum() <= 0.02 * tumour.sum()
    assert not (spine & tumour).any()
    inner_spine = spine & (hu > 440)
    assert (new_hu[inner_spine] == hu[inner_spine]).mean() > 0.99
    assert (new_hu != hu).mean() < 0.5
    assert set(np.unique(new_labels)) <= {0, 1, 2}


def test_inputs_are_not_touched_and_the_same_seed_gives_the_same_ct(library):
    hu, labels, organs, _ = host(THICK)
    before = hu.copy(), labels.copy()
    first = insert_random_lesions(hu, labels, THICK, library, np.random.default_rng(11), organs=organs)
    second = insert_random_lesions(hu, labels, THICK, library, np.random.default_rng(11), organs=organs)
    np.testing.assert_array_equal(hu, before[0])
    np.testing.assert_array_equal(labels, before[1])
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert [lesion.ml for lesion in first[2]] == [lesion.ml for lesion in second[2]]


def test_the_hosts_noise_goes_on_inside_a_cyst(library):
    hu, labels, organs, _ = host()
    cyst = procedural_lesion(np.random.default_rng(5), "cyst")
    new_hu, new_labels, done = insert_lesion(
        hu, labels, (1.5,) * 3, cyst, np.random.default_rng(5), ml=15.0, organs=organs
    )
    assert done is not None
    assert not (new_labels == 2).any()
    x, y, z = done.centre.round().astype(int)
    core = new_hu[x - 4 : x + 5, y - 4 : y + 5, z - 4 : z + 5]
    assert -15 <= core.mean() <= 40
    assert 8 <= core.std() <= 16


def test_endophytic_lesions_lie_deeper_than_exophytic_ones():
    hu, labels, organs, _ = host()
    lesion = procedural_lesion(np.random.default_rng(8))
    inside = []
    for share in (0.15, 0.95):
        placed = type(lesion)("tumour", -1, lesion.mask, lesion.voxel_mm, lesion.outward, share, 0.0)
        _, new, done = insert_lesion(hu, labels, (1.5,) * 3, placed, np.random.default_rng(2), ml=5.0, organs=organs)
        assert done is not None
        inside.append((labels[new == 2] == 1).mean())
    assert inside[0] < 0.4
    assert inside[1] > 0.75


def test_a_bulge_is_kidney_as_bright_and_as_even_as_its_own(library):
    hu, labels, organs, _ = host()
    sinus = ball(hu.shape, (1.5,) * 3, (60, 45, 60), (14, 16, 22))
    hu[sinus], labels[sinus] = -95, 0
    before, kept = hu.copy(), labels.copy()
    hosts = find_hosts(hu, labels, np.full(3, 1.5), organs)
    grown = []
    for seed in range(6):
        new_hu, new = insert_pseudotumour(hu, labels, (1.5,) * 3, library, np.random.default_rng(seed), hosts=hosts)
        added = sinus & (new == 1)
        grown.append(added.sum() * 1.5**3 / 1000)
        if grown[-1] > 1.0:
            assert np.median(new_hu[added]) == pytest.approx(120, abs=20)
        assert np.median(new_hu[new == 1]) == pytest.approx(120, abs=6)
        assert ((new > 0) & (organs == 6)).sum() <= 0.02 * (new > 0).sum()
    assert max(grown) > 2.0
    np.testing.assert_array_equal(hu, before)
    np.testing.assert_array_equal(labels, kept)


def test_a_kidney_without_contrast_agent_gets_no_bulge(library):
    hu, labels, organs, _ = host((4.0, 4.0, 4.0), kidney_hu=35)
    hosts = find_hosts(hu, labels, np.full(3, 4.0), organs)
    assert insert_pseudotumour(hu, labels, (4.0,) * 3, library, np.random.default_rng(0), hosts=hosts)[0] is hu
    assert insert_pseudotumour(hu, labels, (4.0,) * 3, library, np.random.default_rng(0), hosts=[])[0] is hu


def test_without_a_kidney_nothing_is_inserted(library):
    hu, labels, _, _ = host((4.0, 4.0, 4.0))
    new_hu, new_labels, done = insert_random_lesions(hu, labels * 0, (4.0,) * 3, library, np.random.default_rng(0))
    assert done == []
    assert new_hu is hu
    assert not new_labels.any()


def test_small_tumours_are_not_forgotten(library):
    rng = np.random.default_rng(0)
    volumes = np.array([library.draw(rng)[1] for _ in range(300)])
    assert (volumes < 4.2).mean() > 0.25
    assert (volumes > 20).mean() > 0.15


def test_what_is_scored_on_keeps_its_size(library):
    lesions = tuple(replace(lesion, case=i) for i, lesion in enumerate(library.lesions))
    training, held_out = LesionLibrary(lesions).split()
    assert {lesion.case % 5 == 0 for lesion in held_out.lesions} == {True}
    rng = np.random.default_rng(0)
    for kind in ("tumour", "cyst"):
        own = [ml / min(lesion.ml, 250.0) for lesion, ml in (held_out.draw(rng, kind) for _ in range(60))]
        assert min(own) > 0.8
        assert max(own) < 1.2
        other = [ml / lesion.ml for lesion, ml in (training.draw(rng, kind) for _ in range(60))]
        assert min(other) < 0.8


def test_contrast_follows_the_phase():
    rows = [
        [i, kidney, kidney - 50 if kidney > 100 else kidney, 30, kidney - 90, kidney]
        for i, kidney in enumerate(np.linspace(30, 220, 60))
    ]
    library = LesionLibrary((), np.array(rows, np.float32))
    rng = np.random.default_rng(0)
    plain = [library.draw_hu(rng, 30.0).median - 30 for _ in range(100)]
    arterial = [library.draw_hu(rng, 180.0).median - 180 for _ in range(100)]
    assert abs(np.median(plain)) < 8
    assert np.median(arterial) == pytest.approx(-50, abs=12)
    formula = [LesionLibrary(()).draw_hu(rng, 180.0).median for _ in range(100)]
    assert 70 < np.median(formula) < 160


def test_a_library_survives_its_file(tmp_path):
    library = LesionLibrary.procedural(9, seed=3)
    library = LesionLibrary(library.lesions, np.arange(12, dtype=np.float32).reshape(2, 6))
    library.save(tmp_path / "shapes.npz")
    again = LesionLibrary.load(tmp_path / "shapes.npz")
    assert len(again) == 9
    np.testing.assert_array_equal(again.contrast, library.contrast)
    for one, other in zip(library.lesions, again.lesions, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
        np.testing.assert_array_equal(one.outward, other.outward)
        assert (one.kind, one.case, one.voxel_mm, one.inside) == (other.kind, other.case, other.voxel_mm, other.inside)


def test_a_file_that_is_no_library_says_so(tmp_path):
    (tmp_path / "no.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a lesion library"):
        LesionLibrary.load(tmp_path / "no.npz")
    with pytest.raises(InputError, match="no cyst"):
        LesionLibrary(()).draw(np.random.default_rng(0), "cyst")


def test_shapes_are_cut_with_their_pose():
    spacing = (1.0, 1.0, 4.0)
    shape = (90, 70, 30)
    labels = ball(shape, spacing, (45, 35, 60), (25, 22, 50)).astype(np.uint8)
    # Sticks out to the right (+x), a bit above the middle.
    labels[ball(shape, spacing, (72, 35, 75), (10, 10, 10))] = 2
    labels[ball(shape, spacing, (45, 35, 30), (6, 6, 6))] = 3
    tumour, cyst = sorted(cut_lesions(labels, spacing, case=12), key=lambda lesion: lesion.kind, reverse=True)
    assert (tumour.kind, cyst.kind, tumour.case) == ("tumour", "cyst", 12)
    assert tumour.ml == pytest.approx(4.19, rel=0.15)
    assert tumour.outward[0] > 0.9
    assert 0.02 < tumour.inside < 0.5
    assert 0.1 < tumour.along < 0.5
    assert cyst.inside == 1.0
    assert -0.8 < cyst.along < -0.4


def test_a_library_is_built_from_a_kits_folder(tmp_path, caplog):
    shape = (90, 70, 30)
    spacing = (1.0, 1.0, 4.0)
    for case in (4, 5):
        labels = ball(shape, spacing, (45, 35, 60), (25, 22, 50)).astype(np.uint8)
        labels[ball(shape, spacing, (70, 35, 75), (10, 10, 10))] = 2
        nib.Nifti1Image(labels, np.diag((*spacing, 1.0))).to_filename(tmp_path / f"case_{case:05d}.nii.gz")
    names = ["case", "kidney_median", "tumor_median", "tumor_stdev", "tumor_percentile_10_0", "tumor_percentile_90_0"]
    with (tmp_path / "hu.csv").open("w", newline="") as table:
        csv.writer(table).writerows([names, ["case_00004", 120, 70, 30, 30, 110], ["case_00005", 120, 70, "", "", ""]])
    library = LesionLibrary.from_kits(tmp_path, tmp_path / "hu.csv")
    train, held_out = library.split()
    assert [lesion.case for lesion in train.lesions] == [4]
    assert [lesion.case for lesion in held_out.lesions] == [5]
    assert (len(train.contrast), len(held_out.contrast)) == (1, 0)
    assert is_held_out(15)
    assert not is_held_out(16)
    with pytest.raises(InputError, match="No lesions"):
        LesionLibrary.from_kits(tmp_path, cases=[99])
    whole = (tmp_path / "case_00004.nii.gz").read_bytes()
    (tmp_path / "case_00004.nii.gz").write_bytes(whole[: len(whole) // 2])
    left = LesionLibrary.from_kits(tmp_path)
    assert [lesion.case for lesion in left.lesions] == [5]
    assert "case_00004.nii.gz" in caplog.text
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="expected case_XXXXX"):
        LesionLibrary.from_kits(tmp_path / "other")
    (tmp_path / "hu.csv").write_text("case,kidney_median\n")
    with pytest.raises(InputError, match="lacks the columns"):
        LesionLibrary.from_kits(tmp_path, tmp_path / "hu.csv")


@pytest.mark.skipif(not (KITS / "kits23_masks").is_dir(), reason="needs the KiTS23 label maps in ../shared/data")
def test_real_label_maps_give_plausible_shapes():
    library = LesionLibrary.from_kits(KITS / "kits23_masks", KITS / "kits23_case_hu.csv", cases=[6, 19])
    tumours = {lesion.case: lesion for lesion in library.lesions if lesion.kind == "tumour"}
    # Volumes counted on the label maps: 11.30 and 1.80 mL.
    assert tumours[6].ml == pytest.approx(11.3, rel=0.06)
    assert tumours[19].ml == pytest.approx(1.8, rel=0.12)
    assert all(abs(np.linalg.norm(lesion.outward) - 1) < 1e-6 for lesion in library.lesions)
    assert all(lesion.voxel_mm <= 1.5 for lesion in library.lesions)
