"""Cells of a crop and cells of stage 1's grid: lookups, and the margin as inference measures it."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.datasets.cases import LabelledGrid
from kidneyseg.training.detections import FAR_MM, Crop, coarse_box, coarse_cells, margin_field, on_cells, within

LOW = np.zeros(3, np.int64)


def crop(corner: tuple[int, int, int] = (2, 4, 6)) -> Crop:
    """A crop of 8 x 8 x 8 cells of 2 mm in a case of 10 x 10 x 10 cells of 4 mm."""
    zeros = np.zeros((8, 8, 8), np.uint8)
    return Crop(
        LabelledGrid(zeros.astype(np.int16), zeros, zeros, 2.0), np.array(corner), np.zeros((10, 10, 10), bool), [], 4.0
    )


def test_a_fine_cell_lies_in_the_coarse_cell_at_its_centre() -> None:
    coarse = np.zeros((10, 10, 10), bool)
    coarse[2, 3, 4] = True
    fine = np.argwhere(on_cells(coarse, crop(), LOW)) + np.array([2, 4, 6])
    assert sorted(map(tuple, fine)) == [(x, y, z) for x in (4, 5) for y in (6, 7) for z in (8, 9)]
    low = np.array([1, 2, 3])
    assert np.array_equal(on_cells(coarse[1:, 2:, 3:], crop(), low), on_cells(coarse, crop(), LOW))


def test_a_coarse_cell_holds_a_mask_from_two_fifths_of_it_on() -> None:
    mask = np.zeros((8, 8, 8), bool)
    mask[2, 2, 2:4] = mask[2, 3, 2] = True  # 3 of the 8 cells of (2, 3, 4)
    assert not coarse_cells(mask, crop(), LOW, (10, 10, 10)).any()
    mask[3, 3, 3] = True
    assert np.argwhere(coarse_cells(mask, crop(), LOW, (10, 10, 10))).tolist() == [[2, 3, 4]]


def test_the_margin_counts_from_the_surface_and_saturates() -> None:
    detection = np.zeros((15, 15, 15), bool)
    detection[7, 7, 7] = True
    field = margin_field(detection, 4.0, 10.0)
    assert field[9, 7, 7] == pytest.approx(10 - (8 - 2))
    assert field[7, 7, 7] == FAR_MM
    assert field[0, 0, 0] == -FAR_MM


def test_cells_within_the_margin_form_a_ball_of_its_radius() -> None:
    detection = np.zeros((20, 20, 20), bool)
    detection[10, 10, 10] = True
    zeros = np.zeros((40, 40, 40), np.uint8)
    big = Crop(LabelledGrid(zeros.astype(np.int16), zeros, zeros, 2.0), np.zeros(3, np.int64), detection, [], 4.0)
    inside = within(margin_field(detection, 4.0, 10.0), big, LOW)
    assert inside.sum() * 8 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.15)


def test_the_coarse_box_covers_the_crop_and_its_margin_within_the_case() -> None:
    low, window = coarse_box(crop((10, 4, 0)), 5.0)
    assert low.tolist() == [2, 0, 0]
    assert window == (slice(2, 10), slice(0, 9), slice(0, 7))
