"""Viscera and vessels of the phantom."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.phantom.abdomen import make_phantom

SHAPE, SPACING = (96, 96, 48), (4.0, 4.0, 6.0)


def test_the_liver_lies_on_the_right() -> None:
    hu = make_phantom(3, SHAPE, SPACING)[0].hu
    right, left = hu[62:80, 50:75, 30:36], hu[16:34, 50:75, 30:36]
    assert (np.abs(right - 105) < 35).mean() > 1.5 * (np.abs(left - 105) < 35).mean()


@pytest.mark.parametrize("seed", range(2))
def test_the_aorta_enhances_most_in_the_arterial_phase(seed: int) -> None:
    hu = {phase: make_phantom(seed, SHAPE, SPACING, phase=phase)[0].hu for phase in ("arterial", "noncontrast")}
    gain = hu["arterial"].astype(int) - hu["noncontrast"]
    before_spine = gain[42:54, :, 20]
    place = np.unravel_index(before_spine.argmax(), before_spine.shape)
    assert before_spine[place] > 150
    assert place[0] + 42 < SHAPE[0] / 2 + 1, "on the left of the midline, x grows to the right"


def test_gas_is_inside_the_body() -> None:
    hu = make_phantom(1, SHAPE, SPACING)[0].hu
    below_lungs = hu[24:72, :, :16]
    gas = np.argwhere(below_lungs < -600)
    inside = [point for point in gas if (hu[24 + point[0], point[1] :, point[2]] > -50).any()]
    assert len(inside) > 20, "the colon holds gas"
