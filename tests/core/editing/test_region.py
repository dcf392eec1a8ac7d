"""Lasso, polygon and threshold fill what lies inside, and only what they may."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from corrections import SHAPE, after, ball, ct, some_labels
from kidneyseg.editing import fill_polygon, threshold_ball
from kidneyseg.errors import SettingsError

EMPTY = np.zeros(SHAPE, np.uint8, order="F")


def filled(axis: int, index: int, outline: object) -> NDArray[np.bool_]:
    """The plane of a slice in which an outline was filled; nothing else may have changed."""
    labels = after(EMPTY, fill_polygon(ct(), EMPTY, axis, index, outline, 2))  # type: ignore[arg-type]
    plane = labels.take(index, axis) == 2
    assert plane.sum() == (labels > 0).sum()
    return np.asarray(plane)


# Odd thousandths: no centre of a voxel lies on an edge, where the two need not agree.
POSITION = st.integers(-3000, 20000).map(lambda thousandths: (2 * thousandths + 1) / 2000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(POSITION, POSITION), min_size=3, max_size=9), st.sampled_from([0, 1, 2]))
def test_any_outline_is_filled_by_the_even_odd_rule(outline: list[tuple[float, float]], axis: int) -> None:
    plane = [n for other, n in enumerate(SHAPE) if other != axis]
    frame = 5  # scikit-image's plane is larger: it takes no position outside it
    expected = polygon2mask([n + 2 * frame for n in plane], np.array(outline) + frame)
    np.testing.assert_array_equal(filled(axis, 4, outline), expected[frame:-frame, frame:-frame])


def test_an_outline_that_crosses_itself() -> None:
    star = [(8 + 6.5 * np.sin(turn), 7 + 6.5 * np.cos(turn)) for turn in np.arange(5) * 4 * np.pi / 5]
    plane = filled(2, 5, star)
    assert not plane[8, 7]  # the middle is gone around twice
    assert plane[8, 12]
    np.testing.assert_array_equal(plane[2:15], plane[2:15][::-1])  # it is symmetric


def test_two_outlines_with_a_common_edge_share_no_voxel_and_leave_none_out() -> None:
    left = filled(2, 3, [(2, 2), (9, 2), (9, 11), (2, 11)])
    right = filled(2, 3, [(9, 2), (14, 2), (14, 11), (9, 11)])
    np.testing.assert_array_equal(left ^ right, filled(2, 3, [(2, 2), (14, 2), (14, 11), (2, 11)]))
    assert left.sum() == 7 * 9


@pytest.mark.parametrize("outline", [[], [(3, 3)], [(3, 3), (9, 9)], [(40, 3), (50, 3), (45, 9)], [(3.2, 3.2)] * 4])
def test_an_outline_without_an_inside_changes_nothing(outline: list[tuple[float, float]]) -> None:
    assert len(fill_polygon(ct(), EMPTY, 2, 0, outline, 1)) == 0


def test_only_what_may_be_painted_changes() -> None:
    volume, labels = ct(), some_labels()
    square = [(2.5, 2.5), (12.5, 2.5), (12.5, 8.5), (2.5, 8.5)]
    inside = np.zeros(SHAPE, bool)
    inside[3:13, 6, 3:9] = True
    changed = after(labels, fill_polygon(volume, labels, 1, 6, square, 0))
    np.testing.assert_array_equal(changed, np.where(inside, 0, labels))
    some = fill_polygon(volume, labels, 1, 6, square, 3, over={0, 1}, hu_range=(50, 200))
    allowed = inside & (volume.hu >= 50) & (volume.hu <= 200) & (labels < 2)
    np.testing.assert_array_equal(after(labels, some), np.where(allowed, 3, labels))


def test_a_range_of_hu_in_a_ball() -> None:
    volume, labels = ct(), some_labels()
    voxels = threshold_ball(volume, labels, (8, 7, 5), 6.0, (100, 300), 2, over={0, 1})
    chosen = ball((8, 7, 5), 6.0) & (volume.hu >= 100) & (labels < 2)
    np.testing.assert_array_equal(after(labels, voxels), np.where(chosen, 2, labels))


def test_impossible_fills_are_refused() -> None:
    with pytest.raises(SettingsError, match="slice 11 lies outside the volume, whose last slice is 10"):
        fill_polygon(ct(), EMPTY, 2, 11, [(1, 1), (5, 1), (3, 6)], 1)
    with pytest.raises(SettingsError, match="an axis must be"):
        fill_polygon(ct(), EMPTY, -1, 0, [(1, 1), (5, 1), (3, 6)], 1)
    with pytest.raises(SettingsError, match="there is no label 5"):
        threshold_ball(ct(), EMPTY, (8, 7, 5), 5.0, (0, 100), 5)
    with pytest.raises(SettingsError, match="HU range"):
        threshold_ball(ct(), EMPTY, (8, 7, 5), 5.0, (100, 0), 1)
