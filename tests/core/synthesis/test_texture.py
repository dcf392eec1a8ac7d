"""Textures: random fields, tumours of a given HU, and noise as in the CT."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from kidney_host import ball
from kidneyseg.synthesis.texture import TumourHU, gaussian_random_field, matching_noise, textures, tumour_texture

SPACING = np.array([1.0, 1.0, 2.0])


def correlation(field, axis, steps):
    moved = [np.take(field, range(a, field.shape[axis] - steps + a), axis) for a in (0, steps)]
    return float(np.corrcoef(moved[0].ravel(), moved[1].ravel())[0, 1])


def test_random_fields_are_correlated_over_their_scale_in_mm():
    field = gaussian_random_field((60, 60, 30), 4.0, SPACING, np.random.default_rng(0))
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-3)
    assert correlation(field, 0, 4) == pytest.approx(correlation(field, 2, 2), abs=0.15)
    assert correlation(field, 0, 2) > 0.7
    assert abs(correlation(field, 0, 24)) < 0.3


def test_a_tumour_has_the_median_and_about_the_spread_it_is_given():
    share = ball((50, 50, 25), SPACING, (25, 25, 25), (20, 20, 20)).astype(np.float32)
    hu = tumour_texture(share, TumourHU(80.0, 40.0), 10.0, SPACING, np.random.default_rng(0))
    inside = hu[share > 0.5]
    assert np.median(inside) == pytest.approx(80)
    assert 15 < inside.std() < 50


def test_necrosis_is_dark_and_deep_and_can_be_switched_off():
    share = ball((60, 60, 30), SPACING, (30, 30, 30), (26, 26, 26)).astype(np.float32)
    depth = ndimage.distance_transform_edt(share > 0.5, sampling=SPACING)

    def dark(**chances):
        hu = tumour_texture(share, TumourHU(120.0, 5.0), 0.0, SPACING, np.random.default_rng(3), **chances)
        return (share > 0.5) & (hu < 70)

    necrotic = dark(necrosis_probability=1.0, rim_probability=0.0)
    assert necrotic.sum() > 0.03 * share.sum()
    assert depth[necrotic].mean() > depth[share > 0.5].mean()
    assert dark(necrosis_probability=0.0, rim_probability=0.0).sum() == 0


def fluid_share(radius_mm, seed=0, **odds):
    """The share of a tumour of 120 HU, with little texture of its own, that is fluid."""
    share = ball((60, 60, 30), SPACING, (30, 30, 30), (radius_mm,) * 3).astype(np.float32)
    hu = textures(**odds)(share, TumourHU(120.0, 5.0), 0.0, SPACING, np.random.default_rng(seed))
    return float((hu[share > 0.5] < 50).mean())


@pytest.mark.parametrize(("kind", "least_mm"), [("necrotic", 12.0), ("cystic", 9.0)])
def test_only_large_tumours_are_mostly_fluid(kind, least_mm):
    odds = {"necrotic": 0.0, "cystic": 0.0, kind: 1.0}
    assert fluid_share(least_mm + 3.0, **odds) > 0.25
    assert fluid_share(least_mm - 2.0, **odds) == 0.0
    assert fluid_share(least_mm + 3.0, necrotic=0.0, cystic=0.0) < 0.1


def test_as_many_tumours_are_fluid_as_the_odds_say():
    fluid = [fluid_share(14.0, seed, necrotic=0.2, cystic=0.3) > 0.25 for seed in range(60)]
    assert np.mean(fluid) == pytest.approx(0.5, abs=0.15)


def test_noise_has_the_strength_and_reach_of_the_patch():
    rng = np.random.default_rng(1)
    white = rng.standard_normal((40, 40, 40))
    for sigma in (0.0, 1.0):
        patch = ndimage.gaussian_filter(white, sigma)
        patch = (80 + 15 * patch / patch.std()).astype(np.float32)
        noise = matching_noise(patch, np.ones(3), (32, 32, 32), rng)
        assert noise.std() == pytest.approx(15, rel=0.25)
        assert correlation(noise, 0, 1) == pytest.approx(correlation(patch, 0, 1), abs=0.15)


def test_a_patch_without_soft_tissue_gives_plain_noise():
    noise = matching_noise(np.full((10, 10, 10), -900, np.float32), np.ones(3), (12, 12, 12), np.random.default_rng(0))
    assert noise.shape == (12, 12, 12)
    assert noise.std() == pytest.approx(12, rel=0.1)
