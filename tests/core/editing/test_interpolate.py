"""Interpolation between drawn slices: shapes that are known between them are found, in every direction."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from corrections import after, ct, some_labels
from kidneyseg.editing import interpolate_slices
from kidneyseg.errors import SettingsError

SHAPE, SPACING = (32, 30, 34), (0.8, 1.0, 1.5)
AXES = pytest.mark.parametrize("axis", [0, 1, 2])


def ellipsoid() -> NDArray[np.bool_]:
    axes = np.ogrid[tuple(slice(n) for n in SHAPE)]
    centre, radius = (15, 14, 16), (12.5, 11.5, 13.5)
    square = sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radius, strict=True))
    return np.asfortranarray(square <= 1)


def slices_of(shape: NDArray[np.bool_], axis: int, kept: list[int], label: int = 2) -> NDArray[np.uint8]:
    labels = np.zeros(shape.shape, np.uint8, order="F")
    at = np.isin(np.arange(shape.shape[axis]), kept).reshape([-1 if i == axis else 1 for i in range(3)])
    labels[shape & at] = label
    return labels


@AXES
def test_an_ellipsoid_is_found_between_some_of_its_slices(axis: int) -> None:
    true = ellipsoid()
    drawn = [n for n in range(SHAPE[axis]) if true.take(n, axis).any()][1::4]
    labels = slices_of(true, axis, drawn)
    filled = after(labels, interpolate_slices(ct(SHAPE, SPACING), labels, axis, 2)) == 2
    between = slice(drawn[0], drawn[-1] + 1)
    ours, truth = (np.moveaxis(one, axis, 0)[between] for one in (filled, true))
    assert 2 * (ours & truth).sum() / (ours.sum() + truth.sum()) > 0.95
    assert filled.sum() == ours.sum()  # nothing beyond the outermost drawn slices
    np.testing.assert_array_equal(
        after(labels, interpolate_slices(ct(SHAPE, SPACING), labels, axis, 2, drawn[::-1])) == 2, filled
    )


@AXES
def test_a_slice_between_is_where_the_mean_distance_is_positive(axis: int) -> None:
    """As the publication says it, on the whole plane; blobs of several parts with holes."""
    rng = np.random.default_rng(axis)
    blobs = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2.5) > 0.02
    labels = slices_of(blobs, axis, [4, 9])
    spacing = np.delete(SPACING, axis)

    def depth(index: int) -> NDArray[np.floating]:
        plane = np.pad(blobs.take(index, axis), 1)
        inside, outside = (ndimage.distance_transform_edt(one, sampling=spacing) for one in (plane, ~plane))
        return np.asarray(inside - outside)[1:-1, 1:-1]

    filled = after(labels, interpolate_slices(ct(SHAPE, SPACING), labels, axis, 2)) == 2
    for index in range(5, 9):
        share = (index - 4) / 5
        np.testing.assert_array_equal(filled.take(index, axis), (1 - share) * depth(4) + share * depth(9) > 0)


@AXES
def test_equal_outlines_become_a_prism_up_to_the_face_of_the_volume(axis: int) -> None:
    shape = np.zeros(SHAPE, bool)
    shape[0:9, 3:30, 10:34] = True
    first, last = (0, 8) if axis == 0 else (3, 29) if axis == 1 else (10, 33)
    labels = slices_of(shape, axis, [first, last])
    np.testing.assert_array_equal(after(labels, interpolate_slices(ct(SHAPE, SPACING), labels, axis, 2)) == 2, shape)


def test_only_the_drawn_slices_count_and_what_lies_between_stays() -> None:
    labels = np.zeros(SHAPE, np.uint8, order="F")
    labels[5:15, 5:15, [4, 10]] = 1
    labels[20:22, 20:22, 7] = 1  # something else between them
    changed = after(labels, interpolate_slices(ct(SHAPE, SPACING), labels, 2, 1, [4, 10]))
    expected = labels.copy()
    expected[5:15, 5:15, 4:11] = 1
    np.testing.assert_array_equal(changed, expected)
    assert len(interpolate_slices(ct(SHAPE, SPACING), labels, 2, 1)) == 0  # no overlap from 4 to 7, nor from 7 to 10


def test_only_what_may_be_painted_over_changes() -> None:
    labels = some_labels(1, SHAPE)
    labels[labels == 3] = 0
    labels[5:15, 5:15, [4, 10]] = 3
    changed = after(labels, interpolate_slices(ct(SHAPE, SPACING), labels, 2, 3, over={0, 2}))
    expected = labels.copy()
    between = expected[5:15, 5:15, 4:11]
    between[between != 1] = 3
    np.testing.assert_array_equal(changed, expected)


def test_without_gaps_nothing_changes() -> None:
    labels = ellipsoid().astype(np.uint8)
    assert len(interpolate_slices(ct(SHAPE, SPACING), labels, 2, 1)) == 0
    assert len(interpolate_slices(ct(SHAPE, SPACING), labels, 2, 2)) == 0
    assert len(interpolate_slices(ct(SHAPE, SPACING), np.zeros_like(labels), 2, 1)) == 0


@pytest.mark.parametrize(
    ("axis", "label", "drawn", "message"),
    [
        (2, 1, [10], "at least two drawn slices"),
        (2, 1, [10, 10], "at least two drawn slices"),
        (2, 1, [10, 34], "slice 34 lies outside the volume, whose last slice is 33"),
        (2, 2, [10, 20], "slice 10 holds nothing of label 2; draw it there first"),
        (2, 0, None, "label 0 cannot be interpolated"),
        (2, 8, None, "there is no label 8"),
        (3, 1, None, "an axis must be"),
    ],
)
def test_impossible_interpolations_are_refused(axis: int, label: int, drawn: list[int] | None, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        interpolate_slices(ct(SHAPE, SPACING), ellipsoid().astype(np.uint8), axis, label, drawn)
