"""Dice and surface Dice against DeepMind's surface-distance, the library behind the published surface Dice.

Positions, borders and distances are the same: with the library's areas of surface elements the scores are equal. The
areas differ. A surface element is the marching-cubes polygon of a 2 x 2 x 2 cell, and the area of a polygon that is not
flat depends on its triangulation: here from its centre, there from one of its corners. Single elements differ by up to
half of their area; over a whole surface the differences cancel out to about .001 of surface Dice.
"""

import warnings
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from kidneyseg import metrics
from kidneyseg.arrays import bounding_box
from kidneyseg.imaging.nifti import load_mask
from kidneyseg.metrics import KITS23_CLASSES, KITS23_TOLERANCE_MM, dice, kits23_surface_dice, surface_dice

with warnings.catch_warnings():
    # The library imports scipy.ndimage's functions from deprecated places.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import surface_distance
    from surface_distance import lookup_tables

WITHIN = 0.002

pytestmark = pytest.mark.filterwarnings("ignore:Please (use|import) .* from the `scipy.ndimage` namespace")


def theirs(pred, truth, spacing, tolerance):
    distances = surface_distance.compute_surface_distances(truth, pred, spacing)
    return surface_distance.compute_surface_dice_at_tolerance(distances, tolerance)


@cache
def their_areas(spacing):
    """The library's areas, in the order in which this project numbers the eight corners."""
    table = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    corners = (np.arange(256)[:, None] >> np.arange(8)) & 1
    codes = (corners.reshape(256, 2, 2, 2) * lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL).sum(axis=(1, 2, 3))
    return table[codes].astype(np.float32)


def blobs(seed, smooth):
    """Two masks that resemble each other, some of them over the array's border; spacing and tolerance."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal((34, 30, 26)), smooth) for _ in range(2)]
    one, two = fields[0], fields[0] + rng.uniform(0.1, 1.0) * fields[1]
    spacing = tuple(float(edge) for edge in rng.uniform(0.5, 4.0, 3))
    share = rng.uniform(0.6, 0.95)
    return one > np.quantile(one, share), two > np.quantile(two, share), spacing, float(rng.uniform(0.2, 3.0))


@pytest.mark.parametrize("seed", range(8))
def test_dice_is_the_same(seed):
    pred, truth, _, _ = blobs(seed, 2.0)
    assert dice(pred, truth) == surface_distance.compute_dice_coefficient(truth, pred)


@pytest.mark.parametrize("smooth", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("seed", range(6))
def test_surface_dice_is_the_same_with_the_same_areas_and_close_with_its_own(seed, smooth, monkeypatch):
    pred, truth, spacing, tolerance = blobs(seed, smooth)
    expected = theirs(pred, truth, spacing, tolerance)
    assert surface_dice(pred, truth, spacing, tolerance) == pytest.approx(expected, abs=WITHIN)
    monkeypatch.setattr(metrics, "_element_areas", their_areas)
    assert surface_dice(pred, truth, spacing, tolerance) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("case", ["case_00015", "case_00050"])
def test_kits23_surface_dice_of_real_shapes(data_dir, case):
    truth, geometry = load_mask(data_dir / "kits23_masks" / f"{case}.nii.gz")
    truth = truth[bounding_box(truth, 8)]
    pred = np.zeros_like(truth)  # slightly larger and shifted, with the tumour's rim labelled kidney
    pred[ndimage.binary_dilation(np.roll(truth, 1, axis=0) > 0)] = 1
    pred[ndimage.binary_erosion(truth == 2)] = 2
    pred[truth == 3] = 3
    found = kits23_surface_dice(pred, truth, geometry.spacing_mm)
    for name, labels in KITS23_CLASSES.items():
        expected = theirs(np.isin(pred, labels), np.isin(truth, labels), geometry.spacing_mm, KITS23_TOLERANCE_MM[name])
        assert found[name] == pytest.approx(expected, abs=WITHIN), name
