import numpy as np
import pytest
from scipy import ndimage

from kidneyseg.points.morphology import close_gaps, fill_small_holes


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 3.0), (2.0, 1.0, 0.7)])
@pytest.mark.parametrize("radius", [0.5, 2.0, 3.3])
def test_closing_is_that_of_distance_maps(spacing, radius):
    mask = ndimage.gaussian_filter(np.random.default_rng(0).random((16, 13, 11)), 1) > 0.53
    framed = np.pad(mask, 8)
    dilated = ndimage.distance_transform_edt(~framed, sampling=spacing) <= radius * (1 + 1e-6)
    closed = ndimage.distance_transform_edt(dilated, sampling=spacing) > radius * (1 + 1e-6)
    assert np.array_equal(close_gaps(mask, radius, spacing), closed[8:-8, 8:-8, 8:-8])


def test_closing_keeps_what_touches_the_border():
    mask = np.ones((5, 4, 3), bool)
    assert close_gaps(mask, 2.0, (1.0, 1.0, 1.0)).all()


def test_closing_bridges_a_gap_and_nothing_closes_nothing():
    mask = np.zeros((9, 3, 3), bool)
    mask[:4] = mask[5:] = True
    assert close_gaps(mask, 1.0, (1.0,) * 3)[4, 1, 1]
    assert np.array_equal(close_gaps(mask, 0.0, (1.0,) * 3), mask)
    assert not close_gaps(np.zeros((3, 3, 3), bool), 5.0, (1.0,) * 3).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_small_holes_are_filled_per_slice_and_large_or_open_ones_stay(axis):
    plane = np.ones((9, 12), bool)
    plane[2, 2] = False  # 1 mm2
    plane[4:7, 5:8] = False  # 9 mm2
    plane[0, 9] = plane[4, 11] = False  # open to the border
    mask = np.moveaxis(np.stack([plane] * 3, axis=2), 2, axis)
    filled = np.moveaxis(fill_small_holes(mask, (1.0,) * 3, axis, 5.0), axis, 2)
    expected = plane.copy()
    expected[2, 2] = True
    assert all(np.array_equal(filled[:, :, k], expected) for k in range(3))


def test_no_hole_and_no_mask():
    assert fill_small_holes(np.ones((3, 3, 3), bool), (1.0,) * 3, 2, 5.0).all()
    assert not fill_small_holes(np.zeros((3, 3, 3), bool), (1.0,) * 3, 2, 5.0).any()
