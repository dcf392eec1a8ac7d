"""Click to fix: what changes, where, and that clicks can be refined and taken back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from click_scene import IN_FAT, IN_KIDNEY, IN_TUMOUR, SHAPE, SPACING, click_scene, dice
from kidneyseg.editing import Click, Voxels, fix
from kidneyseg.editing.growth import REACH_MM
from kidneyseg.errors import InputError

SCENE = click_scene()


def after(labels: NDArray[np.uint8], voxels: Voxels) -> NDArray[np.uint8]:
    changed = labels.copy(order="F")
    changed.reshape(-1, order="F")[voxels.index] = voxels.labels
    return changed


def distance_mm(voxels: Voxels, at: tuple[int, int, int]) -> NDArray[np.float64]:
    places = np.stack(np.unravel_index(voxels.index, SHAPE, order="F"), axis=1)
    return np.asarray(np.linalg.norm((places - at) * SPACING, axis=1))


@pytest.mark.parametrize("evidence", [None, SCENE.cloud])
def test_a_click_in_a_missed_tumour_finds_it(evidence: object) -> None:
    voxels = fix(SCENE.volume, SCENE.missed, evidence, [Click(IN_TUMOUR, 2)])  # type: ignore[arg-type]
    fixed = after(SCENE.missed, voxels)
    assert dice(fixed == 2, SCENE.truth == 2) > 0.8
    assert fixed[IN_TUMOUR] == 2
    assert distance_mm(voxels, IN_TUMOUR).max() <= REACH_MM + 1e-6
    assert (SCENE.missed.reshape(-1, order="F")[voxels.index] != voxels.labels).all()
    assert (np.diff(voxels.index.astype(int)) > 0).all()


def test_the_same_clicks_give_the_same_voxels_and_none_gives_none() -> None:
    one, two = (fix(SCENE.volume, SCENE.missed, None, [Click(IN_TUMOUR, 2)]) for _ in range(2))
    np.testing.assert_array_equal(one.index, two.index)
    np.testing.assert_array_equal(one.labels, two.labels)
    assert len(fix(SCENE.volume, SCENE.missed, None, [])) == 0


def test_a_further_click_takes_away_what_is_wrong() -> None:
    labels = SCENE.missed
    first = [Click(IN_TUMOUR, 2)]
    wrong = np.argwhere((after(labels, fix(SCENE.volume, labels, None, first)) == 2) & (SCENE.truth == 1))
    if not len(wrong):
        pytest.skip("the first click leaves nothing to correct")
    x, y, z = wrong[len(wrong) // 2].tolist()
    both = after(labels, fix(SCENE.volume, labels, None, [*first, Click((x, y, z), 1)]))
    assert both[x, y, z] == 1
    assert both[IN_TUMOUR] == 2


def test_not_that_takes_from_a_false_piece_and_leaves_the_rest() -> None:
    labels = SCENE.truth.copy(order="F")
    labels[8:13, 6:11, 6:11] = 2
    fixed = after(labels, fix(SCENE.volume, labels, None, [Click(IN_FAT, 0)]))
    false = np.zeros(SHAPE, np.bool_)
    false[8:13, 6:11, 6:11] = True
    assert fixed[IN_FAT] == 0
    assert (fixed[false] == 2).mean() < 0.8
    np.testing.assert_array_equal(fixed[~false], labels[~false])


def test_a_kidney_click_gives_back_a_missing_pole() -> None:
    labels = SCENE.truth.copy(order="F")
    labels[:22] = 0
    missing = (SCENE.truth == 1) & (labels == 0)
    at = (18, 30, 20)
    fixed = after(labels, fix(SCENE.volume, labels, None, [Click(at, 1)]))
    assert (fixed[missing] == 1).mean() > 0.5
    assert (fixed[SCENE.truth == 0] == 0).mean() > 0.98


def test_clicks_far_apart_do_not_touch_each_other() -> None:
    labels = SCENE.missed.copy(order="F")
    labels[8:11, 6:9, 6:9] = 2
    clicks = [Click(IN_TUMOUR, 2), Click((9, 7, 7), 0)]
    one, two = (fix(SCENE.volume, labels, None, [click]) for click in clicks)
    both = fix(SCENE.volume, labels, None, clicks)
    np.testing.assert_array_equal(both.index, np.sort(np.concatenate([one.index, two.index])))


@pytest.mark.parametrize(("click", "says"), [(Click((99, 0, 0), 2), "outside"), (Click(IN_KIDNEY, 4), "label 4")])
def test_impossible_clicks_are_refused(click: Click, says: str) -> None:
    with pytest.raises(InputError, match=says):
        fix(SCENE.volume, SCENE.missed, None, [click])
