"""Lasso and polygon fill what lies inside, and only what they may."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from corrections import SHAPE, after, ct, some_labels
from kidneyseg.editing import fill_polygon
from kidneyseg.errors import SettingsError

EMPTY = np.zeros(SHAPE, np.uint8, order="F")


def filled(axis: int, index: int, outline: object) -> NDArray[np.bool_]:
    """The plane of a slice in which an outline was filled; nothing else may have changed."""
    labels = after(EMPTY, fill_polygon(ct(), EMPTY, axis, index, outline, 2))  # type: ignore[arg-type]
    plane = labels.take(index, axis) == 2
    assert plane.sum() == (labels > 0).sum()
    return np.asarray(plane)


POSITION = st.integers(-300, 2000).map(lambda hundredths: hundredths / 100)


def off_the_edges(outline: NDArray[np.floating], plane: list[int]) -> NDArray[np.bool_]:
    """The positions of a plane that lie on no edge of an outline; on an edge, two rasterisers need not agree."""
    at = np.stack(np.indices(plane), axis=-1)
    apart = np.full(plane, np.inf)
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        line = end - start
        share = np.clip((at - start) @ line / max(line @ line, 1e-12), 0, 1)
        apart = np.minimum(apart, np.linalg.norm(at - start - share[..., None] * line, axis=-1))
    return np.asarray(apart > 1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(POSITION, POSITION), min_size=3, max_size=9), st.sampled_from([0, 1, 2]))
def test_any_outline_is_filled_by_the_even_odd_rule(points: list[tuple[float, float]], axis: int) -> None:
    plane, outline = [n for other, n in enumerate(SHAPE) if other != axis], np.array(points)
    frame = 5  # scikit-image's plane is larger: it takes no position outside it
    expected = polygon2mask([n + 2 * frame for n in plane], outline + frame)[frame:-frame, frame:-frame]
    clear = off_the_edges(outline, plane)
    np.testing.assert_array_equal(filled(axis, 4, outline)[clear], expected[clear])


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


def test_impossible_fills_are_refused() -> None:
    with pytest.raises(SettingsError, match="slice 11 lies outside the volume, whose last slice is 10"):
        fill_polygon(ct(), EMPTY, 2, 11, [(1, 1), (5, 1), (3, 6)], 1)
    with pytest.raises(SettingsError, match="an axis must be"):
        fill_polygon(ct(), EMPTY, -1, 0, [(1, 1), (5, 1), (3, 6)], 1)
    with pytest.raises(SettingsError, match="there is no label 5"):
        fill_polygon(ct(), EMPTY, 2, 0, [(1, 1), (5, 1), (3, 6)], 5)
    with pytest.raises(SettingsError, match="HU range"):
        fill_polygon(ct(), EMPTY, 2, 0, [(1, 1), (5, 1), (3, 6)], 1, hu_range=(100, 0))
