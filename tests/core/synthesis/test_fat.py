"""More fat around the kidneys and in the renal sinus."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.synthesis.fat import FatRegions, add_fat
from kidneyseg.synthesis.organs import OrganWeights

SPACING = (2.0, 2.0, 2.0)
CENTRE = (50.0, 40.0, 40.0)
RANGES = {"around_mm": (4.0, 25.0), "depth_mm": (9.0, 20.0)}


def loin():
    """A kidney of 25 mm radius in muscle whose sinus opens towards an aorta at greater x."""
    shape = (55, 40, 40)
    grid = np.stack(np.meshgrid(*[np.arange(n) * 2.0 for n in shape], indexing="ij"), -1)
    apart = np.linalg.norm(grid - CENTRE, axis=-1)
    hu, organs = np.full(shape, 50, np.int16), np.zeros(shape, np.uint8)
    sinus = np.linalg.norm(grid - (68.0, 40.0, 40.0), axis=-1) < 9
    kidney = (apart < 25) & ~sinus
    aorta = np.hypot(grid[..., 0] - 84, grid[..., 1] - 40) < 6
    hu[kidney], organs[kidney] = 150, 2
    hu[sinus] = -100
    hu[aorta], organs[aorta] = 160, 8
    return hu, organs, kidney, aorta, apart, grid


@pytest.fixture(scope="module")
def case():
    hu, organs, kidney, aorta, apart, grid = loin()
    weights = OrganWeights.build(hu, organs, SPACING)
    return (
        hu,
        kidney,
        aorta,
        apart,
        grid,
        FatRegions.build(organs, weights.soft, weights.spacing, reach_mm=25.0, depth_mm=20.0),
    )


def draws(case, count=12):
    hu, kidney, *_, regions = case
    labels = kidney.astype(np.uint8)
    for seed in range(count):
        yield add_fat(hu, labels, regions, np.random.default_rng(seed), **RANGES)


def test_fat_takes_the_place_of_what_is_near_and_of_the_inside(case):
    hu, kidney, aorta, apart, grid, _ = case
    thin = narrow = 0
    for new, labels in draws(case):
        assert (labels <= kidney).all()
        assert (new[kidney & (labels == 0)] < 50).all()
        assert (new[aorta] == hu[aorta]).all()
        assert (new[apart > 55] == hu[apart > 55]).all()
        shell = kidney & (apart > 20) & (grid[..., 0] < 50)
        assert (labels[shell] == 1).all(), "the outer side stays"
        thin += (labels.sum() < 0.97 * kidney.sum()) and new[kidney & (apart < 3)].mean() < -80
        narrow += new[(apart > 26) & (apart < 29) & (grid[..., 0] < 45)].mean() < -80
    assert 5 <= thin <= 12
    assert 5 <= narrow <= 12


def test_the_inside_opens_towards_the_hilum(case):
    _, kidney, _, _, grid, _ = case
    ray = kidney & (np.abs(grid[..., 1] - 40) < 3) & (np.abs(grid[..., 2] - 40) < 3)
    hilum, outer = ray & (grid[..., 0] > 52), ray & (grid[..., 0] < 34)
    opened = [labels for _, labels in draws(case) if labels.sum() < 0.8 * kidney.sum()]
    assert opened
    for labels in opened:
        assert labels[hilum].mean() < 0.3 < labels[outer].mean()


def test_the_same_seed_gives_the_same_ct(case):
    hu, kidney, *_, regions = case
    labels = kidney.astype(np.uint8)
    (a, b), (c, d) = (add_fat(hu, labels, regions, np.random.default_rng(3), **RANGES) for _ in range(2))
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)
    assert hu[kidney].min() == 150, "the array that came in stays as it was"
    assert labels.sum() == kidney.sum()
