"""Outlines along the pixels' edges give the pixels again, by every rule of filling."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import points_in_poly

from kidneyseg.dicom_export.contours import outlines

Array = np.ndarray[Any, Any]


def drawn(*rows: str) -> Array:
    return np.array([[character == "#" for character in row] for row in rows])


def filled(outline: Array, shape: tuple[int, int]) -> Array:
    """The pixels whose centres lie within one outline."""
    rows, columns = np.indices(shape) + 0.5
    return points_in_poly(np.stack([columns.ravel(), rows.ravel()], axis=1), outline).reshape(shape)


def doubled_area(outline: Array) -> int:
    x, y = outline.T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def test_a_pixel_has_its_four_corners_clockwise() -> None:
    (outline,) = outlines(drawn("...", ".#.", "..."))
    assert outline.tolist() == [[1, 1], [2, 1], [2, 2], [1, 2]]


def test_straight_edges_have_no_corners_between() -> None:
    (outline,) = outlines(drawn("####", "####"))
    assert outline.tolist() == [[0, 0], [4, 0], [4, 2], [0, 2]]


def test_pixels_that_touch_at_a_corner_have_outlines_of_their_own() -> None:
    assert len(outlines(drawn("#.", ".#"))) == 2
    assert len(outlines(drawn(".#", "#."))) == 2


def test_a_hole_is_reached_by_a_channel_without_width() -> None:
    inside = drawn("#####", "#...#", "#.#.#", "#...#", "#####")
    ring, island = sorted(outlines(inside), key=len, reverse=True)
    assert doubled_area(ring) == 2 * (25 - 9)
    assert doubled_area(island) == 2
    np.testing.assert_array_equal(filled(ring, inside.shape) | filled(island, inside.shape), inside)
    assert not filled(ring, inside.shape)[2, 2]
    assert ring.tolist()[4:] == [[0, 1], [1, 1], [1, 4], [4, 4], [4, 1], [0, 1]]  # to the hole, around it and back


def test_nothing_has_no_outline() -> None:
    assert outlines(np.zeros((3, 4), bool)) == []


@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_any_pixels_are_found_again(inside: Array) -> None:
    found = outlines(inside)
    assert len(found) == ndimage.label(inside)[1]
    each = [filled(outline, inside.shape) for outline in found]
    total = np.sum(each, axis=0) if each else np.zeros(inside.shape, int)
    np.testing.assert_array_equal(total, inside)  # every pixel in one outline: even-odd, XOR and union give the same
    for outline, pixels in zip(found, each, strict=True):
        assert doubled_area(outline) == 2 * np.count_nonzero(pixels)
        steps = np.abs(np.roll(outline, -1, axis=0) - outline)
        assert ((steps == 0).sum(axis=1) == 1).all()  # along the edges, and no corner twice in a row
