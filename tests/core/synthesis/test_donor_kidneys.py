"""Whole kidneys cut out of label maps: which are taken, their side, and what they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from donors import donors, kidney_map
from kidney_host import ball
from kidneyseg.synthesis.donor_kidneys import ENCLOSED, VOXEL_MM, cut_kidneys, with_sinus


def ml(mask: np.ndarray, edge_ml: float = VOXEL_MM**3 / 1000) -> float:
    return float(mask.sum()) * edge_ml


def test_both_kidneys_are_taken_with_what_grows_on_them():
    labels, (left, right) = kidney_map(), donors()
    assert (left.medial, right.medial) == (1.0, -1.0)
    assert (left.tumour_ml, left.cyst_ml) == (0.0, 0.0)
    assert right.tumour_ml == pytest.approx(ml(labels == 2), rel=0.05)
    assert right.cyst_ml == pytest.approx(ml(labels == 3), rel=0.1)
    assert ml(left.labels == 1) == pytest.approx(ml(labels[: len(labels) // 2] == 1), rel=0.05)


def test_the_sinus_is_enclosed_and_the_hilum_opens_to_the_spine():
    for donor in donors():
        sinus = np.argwhere(donor.labels == ENCLOSED).mean(0) - np.argwhere(donor.labels == 1).mean(0)
        assert sinus[0] * donor.medial > 3
        assert donor.pose.hilum[0] * donor.medial > 0.8
        assert donor.pose.axis[2] > 0.9
        # Closing must not fill the space between a kidney and the end of its array.
        assert not (donor.labels == ENCLOSED)[:2].any()
        assert ml(donor.labels == ENCLOSED) < 0.15 * ml(donor.body)


def test_mirrored_is_the_other_side():
    left, right = donors()
    assert left.mirrored().medial == right.medial
    np.testing.assert_array_equal(left.mirrored().labels[::-1], left.labels)
    assert left.mirrored().pose.hilum[0] == pytest.approx(-left.pose.hilum[0])


def test_thick_slices_leave_no_stairs():
    (left, _) = cut_kidneys(kidney_map((0.8, 0.8, 5.0)), (0.8, 0.8, 5.0), 1)
    area = left.filled.sum(axis=(0, 1))[3:-3].astype(float)
    steps = np.abs(np.diff(area, 2))
    assert steps.max() < 0.1 * area.max()


def test_horseshoe_and_small_kidneys_are_left_out():
    labels = kidney_map(tumour=False)
    joined = labels.copy()
    joined[40:120, 30:36, 40:46] = 1
    assert cut_kidneys(joined, (1.5, 1.5, 1.5), 1) == []
    assert cut_kidneys(labels, (0.7, 0.7, 0.7), 1) == []


def test_a_kidney_without_a_sinus_gets_one_that_opens_at_the_hilum():
    shape = (60, 60, 90)
    labels = np.zeros(shape, np.uint8)
    labels[ball(shape, (1.5,) * 3, (45, 45, 67), (27, 25, 50))] = 1
    far = np.concatenate([labels, np.zeros((60, 60, 90), np.uint8), labels])
    solid = cut_kidneys(far, (1.5,) * 3, 1)[0]
    opened = with_sinus(solid, np.random.default_rng(0))
    sinus = opened.labels == ENCLOSED
    assert 0.03 < sinus.sum() / solid.body.sum() < 0.3
    np.testing.assert_array_equal(opened.filled, solid.filled)
    depth = ndimage.distance_transform_edt(solid.filled)
    assert depth[sinus].min() <= 2  # it reaches the surface
    assert (np.argwhere(sinus & (depth < 4))[:, 0].mean() - np.argwhere(solid.filled)[:, 0].mean()) * solid.medial > 2
