"""Boxes around masks and dense arrays of cells."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.arrays import bounding_box, dense_array, dense_mask, separate_boxes


@pytest.mark.parametrize("order", ["C", "F"])
def test_bounding_box_is_the_smallest_one(order: str) -> None:
    mask = np.zeros((7, 8, 9), bool, order=order)
    mask[2, 3, 8] = mask[4, 3, 1] = True
    assert bounding_box(mask) == (slice(2, 5), slice(3, 4), slice(1, 9))


def test_bounding_box_of_nothing_is_none() -> None:
    assert bounding_box(np.zeros((3, 3, 3), np.uint8)) is None


def test_margin_is_clipped_to_the_array() -> None:
    mask = np.zeros((7, 8, 9), np.uint8)
    mask[0, 4, 8] = 2
    assert bounding_box(mask, 2) == (slice(0, 3), slice(2, 7), slice(6, 9))
    assert bounding_box(mask, (0, 1, 5)) == (slice(0, 1), slice(3, 6), slice(3, 9))


@pytest.mark.parametrize("order", ["C", "F"])
def test_separate_boxes_are_parted_by_empty_planes(order: str) -> None:
    mask = np.zeros((9, 8, 7), np.uint8, order=order)
    mask[0:2, 1, 1] = 1
    mask[3, 1:4, 1] = 2  # one empty plane from the first
    mask[5:8, 6, 1] = mask[7, 6, 1:5] = 3
    boxes = separate_boxes(mask)
    assert sorted(boxes, key=str) == [
        (slice(0, 2), slice(1, 2), slice(1, 2)),
        (slice(3, 4), slice(1, 4), slice(1, 2)),
        (slice(5, 8), slice(6, 7), slice(1, 5)),
    ]
    assert separate_boxes(mask, 2) == separate_boxes(mask, (2, 2, 9))
    assert sorted(separate_boxes(mask, 2), key=str)[0] == (slice(0, 4), slice(1, 4), slice(1, 2))
    assert separate_boxes(mask, 3) == [(slice(0, 8), slice(1, 7), slice(1, 5))]


def test_what_no_empty_plane_parts_shares_a_box_and_nothing_has_none() -> None:
    mask = np.zeros((6, 6, 1), bool)
    mask[0, :5] = mask[2:, 0] = True
    mask[2, :] = True
    mask[4, 4] = True
    assert separate_boxes(mask) == [(slice(0, 1), slice(0, 5), slice(0, 1)), (slice(2, 6), slice(0, 6), slice(0, 1))]
    assert separate_boxes(np.zeros((3, 3, 3), np.uint8)) == []


def test_boxes_divide_the_mask() -> None:
    mask = np.random.default_rng(0).random((40, 30, 20)) < 0.002
    boxes = separate_boxes(mask)
    count = np.zeros(mask.shape, int)
    for box in boxes:
        count[box] += 1
        assert bounding_box(mask[box]) == tuple(slice(0, side.stop - side.start) for side in box)
    assert (count[mask] == 1).all()
    assert count.max() == 1
    assert len(boxes) > 10


def test_dense_mask_holds_the_cells_and_nothing_else() -> None:
    cells = np.array([[5, 5, 5], [7, 5, 6]], np.int32)
    dense, local = dense_mask(cells, margin=1)
    assert dense.shape == (5, 3, 4)
    assert np.array_equal(np.argwhere(dense), local)
    assert np.array_equal(local, [[1, 1, 1], [3, 1, 2]])


def test_dense_array_holds_the_values_at_the_cells_and_zeros_elsewhere() -> None:
    cells, values = np.array([[5, 5, 5], [7, 5, 6]], np.int32), np.array([1.5, -2.5], np.float32)
    dense, local = dense_array(cells, values, margin=1)
    assert dense.dtype == np.float32
    assert dense[tuple(local.T)].tolist() == [1.5, -2.5]
    assert np.count_nonzero(dense) == 2
