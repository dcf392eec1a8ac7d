"""Clicks that fix the mask around them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from kidneyseg.editing import Click, Voxels, fix
from kidneyseg.editing.click import _may_follow
from kidneyseg.editing.growth import REACH_MM
from kidneyseg.errors import InputError
from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.metrics import dice
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.resample import lattice_for
from lesion_phantom import SHAPE, SPACING, TUMOUR_AT, lesion_phantom

Array = np.ndarray[Any, Any]
IN_TUMOUR, IN_KIDNEY = Click(TUMOUR_AT, TUMOUR), Click((26, 26, 15), KIDNEY)


@pytest.fixture(scope="module")
def scene() -> tuple[Volume, Array, Array]:
    """The CT, its labels, and a mask that knows no tumour."""
    volume, truth = lesion_phantom()
    return volume, truth, np.minimum(truth, KIDNEY)


def applied(labels: Array, voxels: Voxels) -> Array:
    after = labels.copy(order="F")
    after.reshape(-1, order="F")[voxels.index] = voxels.labels
    return after


def distance_mm(*clicks: Click) -> Array:
    """Of each voxel from the nearest click."""
    away = np.ones(SHAPE, bool)
    for click in clicks:
        away[tuple(click.voxels.T)] = False
    return np.asarray(ndimage.distance_transform_edt(away, sampling=SPACING))


def test_one_click_finds_a_missed_tumour(scene: tuple[Volume, Array, Array]) -> None:
    volume, truth, labels = scene
    before = labels.copy()
    voxels = fix(volume, labels, None, [IN_TUMOUR])
    after = applied(labels, voxels)
    assert dice(after == TUMOUR, truth == TUMOUR) > 0.85
    assert np.array_equal(labels, before)
    assert (np.diff(voxels.index.astype(int)) > 0).all()
    assert (after.reshape(-1, order="F")[voxels.index] != labels.reshape(-1, order="F")[voxels.index]).all()


@pytest.mark.parametrize("at", [TUMOUR_AT, (30, 30, 15), (0, 0, 0), (59, 0, 29), (10, 30, 4)])
@pytest.mark.parametrize("label", [TISSUE, KIDNEY, TUMOUR, CYST])
def test_the_clicked_voxel_changes_and_nothing_beyond_20_mm(
    scene: tuple[Volume, Array, Array], at: tuple[int, int, int], label: int
) -> None:
    volume, _, labels = scene
    click = Click(at, label)
    after = applied(labels, fix(volume, labels, None, [click]))
    assert after[at] == label
    assert (distance_mm(click)[after != labels] <= REACH_MM).all()


def test_a_further_click_changes_only_the_piece_that_holds_it(scene: tuple[Volume, Array, Array]) -> None:
    volume, truth, labels = scene
    one = applied(labels, fix(volume, labels, None, [IN_TUMOUR]))
    wrong = np.argwhere((one == TUMOUR) & (truth == KIDNEY))
    second = Click(tuple(wrong[len(wrong) // 2].tolist()), KIDNEY)
    two = applied(labels, fix(volume, labels, None, [IN_TUMOUR, second]))
    pieces, count = ndimage.label(one != two)
    assert count == 1
    assert pieces[second.voxel] == 1
    # Taken back, it leaves no trace.
    assert np.array_equal(applied(labels, fix(volume, labels, None, [IN_TUMOUR])), one)


@pytest.mark.parametrize(
    ("label", "may"),
    [
        # before, after the last click and proposed: 1 1 2, 0 2 2, 1 2 1, 0 1 0, 0 2 1, 2 0 2, 0 0 3
        (TUMOUR, [1, 0, 0, 0, 0, 1, 0]),
        (KIDNEY, [0, 0, 1, 0, 1, 1, 0]),
        (TISSUE, [0, 0, 1, 1, 0, 0, 0]),
        (CYST, [0, 0, 0, 0, 0, 0, 1]),
    ],
)
def test_a_click_gives_its_own_label_or_the_first_one_and_takes_its_own_from_no_voxel(
    label: int, may: list[int]
) -> None:
    before, after, proposed = np.array([[1, 0, 1, 0, 0, 2, 0], [1, 2, 2, 1, 2, 0, 0], [2, 2, 1, 0, 1, 2, 3]], np.uint8)
    assert _may_follow(label, before, after, proposed).tolist() == [bool(one) for one in may]


def test_a_kidney_click_on_tissue_leaves_what_is_labelled_tumour(scene: tuple[Volume, Array, Array]) -> None:
    volume, truth, _ = scene
    labels = np.where(distance_mm(IN_TUMOUR) < 16, np.uint8(TUMOUR), np.uint8(TISSUE))
    after = applied(labels, fix(volume, labels, None, [Click((24, 28, 15), KIDNEY)]))
    assert np.count_nonzero((after == KIDNEY) & (truth == KIDNEY)) > 1000
    assert (after[labels == TUMOUR] == TUMOUR).all()


def test_a_click_where_the_label_is_right_changes_nothing(scene: tuple[Volume, Array, Array]) -> None:
    volume, _, labels = scene
    assert len(fix(volume, labels, None, [IN_KIDNEY])) == 0
    assert len(fix(volume, labels, None, [])) == 0


def test_not_that_takes_a_false_tumour_away_and_nothing_else(scene: tuple[Volume, Array, Array]) -> None:
    volume, truth, _ = scene
    at = (47, 47, 15)  # in the fat
    false = (distance_mm(Click(at, TISSUE)) <= 8) & (truth == TISSUE)
    labels = np.where(false, np.uint8(TUMOUR), truth)
    after = applied(labels, fix(volume, labels, None, [Click(at, TISSUE)]))
    assert dice(after != labels, false) > 0.9
    assert (labels[after != labels] == TUMOUR).all()
    assert (after[after != labels] == TISSUE).all()


def test_a_kidney_click_restores_a_missing_pole(scene: tuple[Volume, Array, Array]) -> None:
    volume, truth, _ = scene
    labels = truth.copy(order="F")
    labels[:, :, 20:] = TISSUE
    pole = (truth > 0) & (labels == 0)
    after = applied(labels, fix(volume, labels, None, [Click((28, 28, 23), KIDNEY)]))
    assert dice(after != labels, pole) > 0.8
    assert (after[labels == TUMOUR] == TUMOUR).all()


def test_clicks_far_apart_do_not_feel_each_other(scene: tuple[Volume, Array, Array]) -> None:
    volume, _, labels = scene
    far = Click((28, 28, 1), TUMOUR)
    both, one, other = (fix(volume, labels, None, clicks) for clicks in ([IN_TUMOUR, far], [IN_TUMOUR], [far]))
    assert len(one)
    assert len(other)
    assert np.array_equal(both.index, np.union1d(one.index, other.index))


def test_a_stroke_gets_its_label_wherever_it_runs(scene: tuple[Volume, Array, Array]) -> None:
    volume, _, labels = scene
    stroke = tuple((x, 28, 15) for x in range(28, 46))
    after = applied(labels, fix(volume, labels, None, [Click((27, 28, 15), TUMOUR, stroke)]))
    assert (after[27:46, 28, 15] == TUMOUR).all()


@pytest.mark.parametrize("at", [TUMOUR_AT, (34, 30, 14)])
def test_the_networks_suspicion_helps_where_the_ct_shows_nothing(
    scene: tuple[Volume, Array, Array], at: tuple[int, int, int]
) -> None:
    volume, truth, labels = scene
    hu = np.where(truth == TUMOUR, np.random.default_rng(1).normal(130, 15, SHAPE).astype(np.int16), volume.hu)
    hidden = Volume(hu, SPACING, volume.affine)
    lattice = lattice_for(hidden, 2.0)
    index = np.indices(lattice.shape).reshape(3, -1).T.astype(np.int32)
    centres = lattice.centres_mm(index) / SPACING
    suspected = truth[tuple(np.floor(centres).astype(int).clip(0, np.subtract(SHAPE, 1)).T)] == TUMOUR
    probability = np.where(suspected[:, None], [0.1, 0.5, 0.4], [0.05, 0.94, 0.01]).astype(np.float16)
    cloud = PointCloud(lattice, index, np.zeros(len(index), np.int16), probability=probability)
    without, with_ = (
        dice(applied(labels, fix(hidden, labels, one, [Click(at, TUMOUR)])) == TUMOUR, truth == TUMOUR)
        for one in (None, cloud)
    )
    assert with_ > without + 0.01


@pytest.mark.parametrize("at", [(60, 0, 0), (0, -1, 0)])
def test_a_click_outside_the_ct_is_refused(scene: tuple[Volume, Array, Array], at: tuple[int, int, int]) -> None:
    volume, _, labels = scene
    with pytest.raises(InputError, match="lies outside the CT"):
        fix(volume, labels, None, [Click(at, TUMOUR)])
    with pytest.raises(InputError, match="label 4"):
        fix(volume, labels, None, [Click((1, 1, 1), 4)])


def test_the_size_of_the_ct_does_not_matter(scene: tuple[Volume, Array, Array]) -> None:
    volume, _, labels = scene
    shape = (512, 512, 300)
    hu, mask = np.zeros(shape, np.int16, order="F"), np.zeros(shape, np.uint8, order="F")
    corner = tuple(slice(200, 200 + n) for n in SHAPE)
    hu[corner], mask[corner] = volume.hu, labels
    large, click = Volume(hu, SPACING, volume.affine), Click((238, 228, 215), TUMOUR)
    fix(large, mask, None, [click])
    started = time.process_time()
    fix(large, mask, None, [click])
    assert time.process_time() - started < 1
