"""Boxes around masks and dense arrays of cells."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.arrays import bounding_box, dense_mask


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


def test_dense_mask_holds_the_cells_and_nothing_else() -> None:
    cells = np.array([[5, 5, 5], [7, 5, 6]], np.int32)
    dense, local = dense_mask(cells, margin=1)
    assert dense.shape == (5, 3, 4)
    assert np.array_equal(np.argwhere(dense), local)
    assert np.array_equal(local, [[1, 1, 1], [3, 1, 2]])
