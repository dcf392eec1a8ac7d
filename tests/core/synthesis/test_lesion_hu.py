"""HU of tumours: enhancement is carried over, typical where nothing is measured, or anything at all."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.synthesis.lesion_hu import any_hu, carried_over, typical_hu


def medians(draw, count=300):
    rng = np.random.default_rng(0)
    return np.array([draw(rng).median for _ in range(count)])


def test_the_enhancement_relative_to_the_kidney_is_carried_over():
    """A tumour of 90 HU in a kidney of 152 has (90 - 34) / (152 - 32) of its enhancement."""
    share = (90 - 34) / (152 - 32)
    for kidney_hu in (32.0, 100.0, 200.0):
        found = medians(lambda rng, hu=kidney_hu: carried_over(hu, 152.0, 90.0, 25.0, rng))
        assert found.mean() == pytest.approx(34 + share * (kidney_hu - 32), abs=1.5)
        assert 4 < found.std() < 6
    bright, dark = (carried_over(hu, 152.0, 90.0, 25.0, np.random.default_rng(0)).sd for hu in (200.0, 32.0))
    assert dark < 25 < bright


def test_typical_tumours_are_darker_than_an_enhanced_kidney_and_like_an_unenhanced_one():
    assert medians(lambda rng: typical_hu(180.0, rng)).mean() == pytest.approx(34 + 0.55 * 148, abs=6)
    assert medians(lambda rng: typical_hu(32.0, rng)).mean() == pytest.approx(34, abs=1.5)


def test_hu_at_random_reach_from_fluid_to_brighter_than_the_kidney():
    found = medians(lambda rng: any_hu(100.0, rng))
    assert 5 <= found.min() < 25
    assert 165 < found.max() <= 180
    assert np.mean(found > 100) == pytest.approx(80 / 170, abs=0.08)
