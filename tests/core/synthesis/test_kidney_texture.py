"""Cortex and medulla, sinus, fat and lesions of a transplanted kidney."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from kidney_host import ball
from kidneyseg.synthesis.kidney_texture import KidneyHU, fat_texture, lesions_over, parenchyma, sinus_texture
from kidneyseg.synthesis.texture import TumourHU, tumour_texture

SPACING = np.full(3, 1.5)
SHAPE = (44, 44, 70)
HU = KidneyHU(200.0, 110.0, 6.0, TumourHU(70.0, 20.0), 160.0, -100.0, 0.5)
KIDNEY = ball(SHAPE, SPACING, (33, 33, 52), (26, 26, 48))
DEPTH = ndimage.distance_transform_edt(KIDNEY, sampling=SPACING).astype(np.float32)


def test_cortex_lies_outside_medulla():
    grey = parenchyma(DEPTH, HU, SPACING, np.random.default_rng(0))
    assert np.median(grey[KIDNEY & (DEPTH < 4)]) == pytest.approx(200, abs=10)
    assert np.median(grey[DEPTH > 16]) == pytest.approx(110, abs=12)


def test_more_of_a_sinus_is_fat_where_the_ct_has_fat():
    medians = []
    for share in (0.1, 0.9):
        grey = sinus_texture(DEPTH, HU._replace(sinus_fat=share), SPACING, np.random.default_rng(1))
        medians.append((grey[DEPTH > 10] < -50).mean())
        assert np.median(grey[KIDNEY & (DEPTH < 1.6)]) == pytest.approx(-100, abs=8)
    assert medians[0] < 0.45
    assert medians[1] > 0.6


def test_fat_has_its_hu():
    grey = fat_texture(SHAPE, -105.0, SPACING, np.random.default_rng(2))
    assert np.median(grey) == pytest.approx(-105, abs=3)


def test_each_lesion_is_written_with_its_hu():
    tumour, cyst = np.zeros((2, *SHAPE), np.float32)
    tumour[ball(SHAPE, SPACING, (33, 33, 30), (12, 12, 12))] = 1.0
    tumour[ball(SHAPE, SPACING, (33, 33, 80), (9, 9, 9))] = 1.0
    cyst[ball(SHAPE, SPACING, (45, 33, 52), (7, 7, 7))] = 1.0
    before = np.full(SHAPE, 150.0, np.float32)
    grey = lesions_over(before, tumour, cyst, HU, 5.0, tumour_texture, SPACING, np.random.default_rng(3))
    lesions, count = ndimage.label(tumour > 0)
    assert [np.median(grey[lesions == i]) for i in range(1, count + 1)] == pytest.approx([70, 70], abs=8)
    assert np.all(grey[cyst > 0] == 6.0)
    np.testing.assert_array_equal(grey[(tumour == 0) & (cyst == 0)], 150.0)
    np.testing.assert_array_equal(before, 150.0)
