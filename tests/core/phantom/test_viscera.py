"""Viscera and vessels of the phantom."""

from __future__ import annotations

import numpy as np

from phantoms import SHAPE, coarse_phantom


def test_the_liver_lies_on_the_right() -> None:
    hu = coarse_phantom(3)[0].hu
    right, left = hu[62:80, 50:75, 30:36], hu[16:34, 50:75, 30:36]
    assert (np.abs(right - 105) < 35).mean() > 1.5 * (np.abs(left - 105) < 35).mean()


def test_the_aorta_enhances_most_in_the_arterial_phase() -> None:
    gain = coarse_phantom(1, "arterial")[0].hu.astype(int) - coarse_phantom(1, "noncontrast")[0].hu
    before_spine = gain[42:54, :, 20]
    place = np.unravel_index(before_spine.argmax(), before_spine.shape)
    assert before_spine[place] > 150
    assert place[0] + 42 < SHAPE[0] / 2 + 1, "on the left of the midline, x grows to the right"


def test_gas_is_inside_the_body() -> None:
    hu = coarse_phantom(1)[0].hu
    below_lungs = hu[24:72, :, :16]
    gas = np.argwhere(below_lungs < -600)
    inside = [point for point in gas if (hu[24 + point[0], point[1] :, point[2]] > -50).any()]
    assert len(inside) > 20, "the colon holds gas"
