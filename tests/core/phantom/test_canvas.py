"""Fields, painting and noise on the phantom's canvas."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.phantom.canvas import Canvas


def test_smooth_field_has_unit_variance() -> None:
    canvas = Canvas((64, 64, 64), (2.0, 2.0, 2.0), (0, 0, 0), np.random.default_rng(0))
    field = canvas.field(8)
    assert abs(field.mean()) < 0.1
    assert field.std() == pytest.approx(1, abs=0.1)
    box = canvas.box((-10, -20, -30), (10, 20, 30))
    assert canvas.field(8, box).shape == canvas.hu[box].shape
    nowhere = canvas.box((500, 0, 0), (510, 1, 1))
    assert canvas.field(8, nowhere).size == 0


def test_painting_fades_at_the_edge() -> None:
    canvas = Canvas((21, 21, 21), (1.0, 1.0, 1.0), (0, 0, 0), np.random.default_rng(0))
    box = canvas.around((0, 0, 0), 9)
    canvas.paint(canvas.ellipsoid(box, (0, 0, 0), (5, 5, 5)), 100.0, box, edge_mm=2)
    assert canvas.hu[10, 10, 10] == 100
    assert canvas.hu[0, 0, 0] == -1000
    assert ((canvas.hu > -990) & (canvas.hu < 90)).sum() > 50


def test_noise_has_the_grain_of_a_scanner() -> None:
    canvas = Canvas((64, 64, 24), (0.8, 0.8, 2.0), (0, 0, 0), np.random.default_rng(0))
    canvas.add_noise(11, (0.9, 0.9, 0.6))
    assert canvas.hu.std() == pytest.approx(11, rel=0.05)
    neighbours = np.corrcoef(canvas.hu[:, :, 1:].ravel(), canvas.hu[:, :, :-1].ravel())[0, 1]
    assert 0.5 < neighbours < 0.95
