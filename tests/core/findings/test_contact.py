"""The share of a surface that touches kidney, on hand-drawn objects."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.findings.contact import kidney_contact
from kidneyseg.imaging.labels import KIDNEY, TUMOUR

SPACING = (1.0, 2.0, 3.0)


def contact(labels: np.ndarray, box: tuple[slice, slice, slice]) -> float:
    return kidney_contact(labels[box] == TUMOUR, labels, box, SPACING)


def test_a_block_on_a_kidney_touches_with_one_face() -> None:
    labels = np.zeros((8, 6, 5), np.uint8)
    labels[:3] = KIDNEY
    box = np.s_[3:6, 1:3, 1:3]  # 3 x 4 x 6 mm
    labels[box] = TUMOUR
    assert contact(labels, box) == pytest.approx(24 / (2 * (12 + 18 + 24)))


def test_faces_at_the_end_of_the_array_touch_nothing() -> None:
    labels = np.full((3, 3, 3), KIDNEY, np.uint8)
    box = np.s_[0:1, 0:1, 2:3]
    labels[box] = TUMOUR
    assert contact(labels, box) == pytest.approx(0.5)
    assert contact(np.full((1, 1, 1), TUMOUR, np.uint8), np.s_[0:1, 0:1, 0:1]) == 0


def test_an_enclosed_tumour_touches_everywhere_also_inside() -> None:
    labels = np.full((7, 7, 7), KIDNEY, np.uint8)
    box = np.s_[1:6, 1:6, 1:6]
    labels[box] = TUMOUR
    labels[3, 3, 3] = KIDNEY
    assert contact(labels, box) == 1
    labels[3, 3, 3] = 0
    assert contact(labels, box) == pytest.approx(25 / 26)


@pytest.mark.parametrize("seed", range(3))
def test_it_counts_faces(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, (6, 5, 4)).astype(np.uint8)
    padded = np.pad(labels, 1)
    touching = surface = 0.0
    for x, y, z in np.argwhere(padded == TUMOUR):
        for step, area in (((1, 0, 0), 6.0), ((0, 1, 0), 3.0), ((0, 0, 1), 2.0)):
            for sign in (-1, 1):
                other = padded[tuple(np.array([x, y, z]) + sign * np.array(step))]
                touching += area * (other == KIDNEY)
                surface += area * (other != TUMOUR)
    assert contact(labels, np.s_[0:6, 0:5, 0:4]) == pytest.approx(touching / surface)
