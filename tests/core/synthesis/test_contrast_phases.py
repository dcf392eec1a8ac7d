"""Contrast phases simulated organ by organ."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.synthesis.contrast_phases import PHASES, scale_corticomedullary_contrast, simulate_contrast_phase
from kidneyseg.synthesis.organs import OrganWeights

SPACING = (2.0, 2.0, 3.0)
ORGANS = {1: (95, 25, 16, 90), 6: (30, 30, 22, 70), 8: (65, 70, 7, 120)}


def abdomen():
    """Spleen, liver, aorta, one kidney with a cyst, and a vertebra, in fat."""
    rng = np.random.default_rng(0)
    shape = (60, 60, 36)
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, SPACING, strict=True)], indexing="ij"), -1)
    hu, organs = np.full(shape, -95.0), np.zeros(shape, np.uint8)
    for number, (x, y, radius, value) in ORGANS.items():
        mask = np.hypot(grid[..., 0] - x, grid[..., 1] - y) < radius
        hu[mask], organs[mask] = value, number
    kidney = (((grid - (30, 85, 55)) / (22, 22, 40)) ** 2).sum(-1) < 1
    hu[kidney], organs[kidney] = 120, 2
    cyst = np.linalg.norm(grid - (30, 85, 55), axis=-1) < 11
    hu[cyst] = 8
    spine = np.hypot(grid[..., 0] - 70, grid[..., 1] - 98) < 16
    hu[spine] = 350
    hu += rng.normal(0, 8, shape)
    return np.asfortranarray(hu.astype(np.int16)), organs, spine, cyst


@pytest.fixture(scope="module")
def case():
    hu, organs, spine, cyst = abdomen()
    return hu, organs, spine, cyst, OrganWeights.build(hu, organs, SPACING)


def test_each_phase_moves_organs_to_where_it_should(case):
    hu, organs, _, cyst, weights = case
    kidney = (organs == 2) & ~cyst
    median = {}
    for phase in PHASES:
        new = simulate_contrast_phase(hu, weights, np.random.default_rng(1), phase=phase)
        median[phase] = {n: float(np.median(new[organs == n])) for n in ORGANS} | {2: float(np.median(new[kidney]))}
    assert 20 <= median["noncontrast"][2] <= 50
    assert 25 <= median["noncontrast"][8] <= 60
    assert 220 <= median["arterial"][8] <= 410
    assert median["arterial"][6] < 90 < median["arterial"][1]
    assert 100 <= median["nephrographic"][2] <= 200
    assert 75 <= median["portal"][6] <= 130


def test_bone_fat_and_cysts_stay(case):
    hu, organs, spine, cyst, weights = case
    for phase in PHASES[:4]:
        new = simulate_contrast_phase(hu, weights, np.random.default_rng(2), phase=phase)
        np.testing.assert_array_equal(new[spine & (organs == 0)], hu[spine & (organs == 0)])
        fat = (hu < -60) & (organs == 0)
        assert np.abs(new[fat].astype(int) - hu[fat]).mean() < 3
        assert abs(float(np.median(new[cyst])) - 8) < 20


def test_cortex_is_brighter_than_medulla_in_the_arterial_phase(case):
    hu, organs, _, cyst, weights = case
    new = simulate_contrast_phase(hu, weights, np.random.default_rng(3), phase="arterial")
    depth = weights.cortex_depth
    place = np.unravel_index(weights.organs[2].index, hu.shape)
    tissue = (organs[place] == 2) & ~cyst[place] & (weights.organs[2].fine > 90)
    cortex = new[place][tissue & (depth < 5) & (depth > 2)]
    medulla = new[place][tissue & (depth > 10)]
    assert np.median(cortex) > np.median(medulla) + 25


@pytest.mark.parametrize("reduction", [0.7, -0.7])
def test_cortex_and_medulla_become_more_or_less_alike_while_noise_and_cysts_stay(case, reduction):
    hu, organs, _, cyst, _ = case
    inner = np.linalg.norm(np.indices(hu.shape).T * SPACING - (30, 85, 55), axis=-1).T < 18
    striped = np.where(inner & ~cyst & (organs == 2), hu - 35, hu).astype(np.int16)
    weights = OrganWeights.build(striped, organs, SPACING)
    new, changed = scale_corticomedullary_contrast(striped, weights, reduction)
    deep = np.zeros(hu.shape, bool)
    deep.reshape(-1)[changed.organs[2].index] = changed.organs[2].edge < 0.2
    medulla, cortex = (deep & (organs == 2) & ~cyst & part for part in (inner, ~inner))

    def step(grey):
        return np.median(grey[cortex]) - np.median(grey[medulla])

    def noise(grey):
        return np.diff(grey.astype(int), axis=0)[cortex[1:] & cortex[:-1]].std()

    share = step(new) / step(striped)
    assert (share < 0.8) if reduction > 0 else (1.2 < share < 2.2)
    assert 0.85 < noise(new) / noise(striped) < 1.15
    assert abs(float(np.median(new[cyst])) - 8) < 10
    np.testing.assert_array_equal(new[organs == 6], striped[organs == 6])
    inside = medulla.reshape(-1)[weights.organs[2].index]
    before, after = (np.median(w.organs[2].smooth[inside]) for w in (weights, changed))
    assert after - before == pytest.approx(np.median(new[medulla]) - np.median(striped[medulla]), abs=3)


def test_noise_is_neither_amplified_nor_removed_much(case):
    hu, _, _, _, weights = case
    liver = np.hypot(*(np.indices(hu.shape)[:2] * 2.0 - 30)) < 14
    for phase in ("noncontrast", "portal"):
        new = simulate_contrast_phase(hu, weights, np.random.default_rng(4), phase=phase)
        assert 0.6 < new[liver].std() / hu[liver].std() < 1.4


def test_the_same_seed_gives_the_same_ct(case):
    hu, _, _, _, weights = case
    before = hu.copy()
    one, other = (simulate_contrast_phase(hu, weights, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(hu, before)
    assert one.dtype == np.int16
    assert one.flags.f_contiguous


def test_phases_are_drawn_by_their_odds(case):
    hu, _, _, _, weights = case
    odds = (0.0, 0.0, 0.0, 1.0, 0.0)
    drawn = simulate_contrast_phase(hu, weights, np.random.default_rng(6), phase_odds=odds)
    rng = np.random.default_rng(6)
    rng.random()  # the draw of the phase
    np.testing.assert_array_equal(drawn, simulate_contrast_phase(hu, weights, rng, phase=PHASES[3]))


def test_no_organs_and_cut_organs_are_fine(case):
    hu, organs, _, _, _ = case
    for grey, labels in ((hu, organs * 0), (hu[:20, 20:50, :5], organs[:20, 20:50, :5])):
        weights = OrganWeights.build(grey, labels, SPACING)
        assert simulate_contrast_phase(grey, weights, np.random.default_rng(0)).shape == grey.shape
