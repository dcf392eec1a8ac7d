"""Closing and hole filling give what their definitions give, voxel by voxel."""

import time

import numpy as np
import pytest
from scipy import ndimage

from kidneyseg.points.morphology import close_gaps, fill_small_holes


def closed_by_definition(mask, radius, spacing):
    """A voxel is closed when no ball around any voxel, in or out of the array, holds it and misses the mask."""
    reach = [int(radius * (1 + 1e-6) / s) for s in spacing]
    offsets = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    ball = offsets[((offsets * spacing) ** 2).sum(axis=1) <= (radius * (1 + 1e-6)) ** 2]
    framed = np.pad(mask, [(2 * r, 2 * r) for r in reach])

    def dilated(one):
        return np.any([np.roll(one, offset, axis=(0, 1, 2)) for offset in ball], axis=0)

    inner = tuple(slice(2 * r, 2 * r + n) for r, n in zip(reach, mask.shape, strict=True))
    return ~dilated(~dilated(framed))[inner]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 3.0), (2.0, 1.0, 0.7)])
@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0, 3.3, 4.7])
@pytest.mark.parametrize("share", [0.03, 0.3])
def test_closing_is_the_definition_for_any_radius_and_voxel(spacing, radius, share):
    rng = np.random.default_rng(int(radius * 10))
    smooth = ndimage.gaussian_filter(rng.random((17, 12, 9)), 1)
    mask = smooth > np.quantile(smooth, 1 - share)
    assert np.array_equal(close_gaps(mask, radius, spacing), closed_by_definition(mask, radius, spacing))


@pytest.mark.parametrize("width", [1, 20, 63, 64, 65, 130])
def test_rows_longer_than_a_word_and_balls_longer_than_a_word(width):
    """Voxels along x are packed 64 to a word."""
    mask = np.random.default_rng(width).random((width, 3, 2)) > 0.9
    mask[0, 0, 0] = True
    for radius in (2.0, 63.0, 64.0, 70.0):
        framed = np.pad(mask, 2 * 70)
        dilated = ndimage.distance_transform_edt(~framed[:, 137:146, 137:145], sampling=(1.0, 40.0, 60.0)) <= radius
        closed = ndimage.distance_transform_edt(dilated, sampling=(1.0, 40.0, 60.0)) > radius
        assert np.array_equal(close_gaps(mask, radius, (1.0, 40.0, 60.0)), closed[140:-140, 3:-3, 3:-3])


def test_closing_keeps_what_touches_the_border():
    mask = np.ones((5, 4, 3), bool)
    assert close_gaps(mask, 2.0, (1.0, 1.0, 1.0)).all()


def test_closing_bridges_a_gap_and_nothing_closes_nothing():
    mask = np.zeros((9, 3, 3), bool)
    mask[:4] = mask[5:] = True
    assert close_gaps(mask, 1.0, (1.0,) * 3)[4, 1, 1]
    assert np.array_equal(close_gaps(mask, 0.0, (1.0,) * 3), mask)
    assert not close_gaps(np.zeros((3, 3, 3), bool), 5.0, (1.0,) * 3).any()


def test_the_largest_radius_is_quick():
    """A kidney of 100 x 80 x 120 voxels, closed by 20 mm; one operation per voxel of the ball would take 4 s."""
    axes = np.ogrid[-1:1:100j, -1:1:80j, -1:1:120j]
    mask = np.asfortranarray(sum(axis**2 for axis in axes) < 1)
    start = time.process_time()
    close_gaps(mask, 20.0, (0.7, 0.7, 1.0))
    assert time.process_time() - start < 1.0


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


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("share", [0.4, 0.6])
def test_holes_are_those_that_no_path_through_a_slice_leaves(axis, share):
    """Half-enclosed bays, spirals and holes behind each other, as noise has them."""
    mask = np.random.default_rng(axis).random((24, 22, 26)) < share
    expected = mask.copy()
    for k in range(mask.shape[axis]):
        slice_ = np.take(mask, k, axis)
        holes, _ = ndimage.label(~slice_)
        at_border = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
        small = np.flatnonzero(np.bincount(holes.ravel()) <= 3)
        np.moveaxis(expected, axis, 0)[k] |= np.isin(holes, np.setdiff1d(small, [0, *at_border]))
    assert np.array_equal(fill_small_holes(mask, (1.0,) * 3, axis, 3.0), expected)
    assert (expected & ~mask).any()


def test_no_hole_and_no_mask():
    assert fill_small_holes(np.ones((3, 3, 3), bool), (1.0,) * 3, 2, 5.0).all()
    assert not fill_small_holes(np.zeros((3, 3, 3), bool), (1.0,) * 3, 2, 5.0).any()
