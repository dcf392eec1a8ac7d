"""Star-shaped surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.editing.star import Rays

RAYS = Rays(30)


def test_a_ball_around_another_point_is_found() -> None:
    off_centre = RAYS.offsets_mm - [4.0, 0.0, -2.0]
    odds = np.where(np.linalg.norm(off_centre, axis=-1) <= 12, 1.0, -1.0)
    radius = RAYS.surface(-np.cumsum(odds, axis=0), 0.3)
    ends = radius[:, None] * RAYS.directions - [4.0, 0.0, -2.0]
    assert np.abs(np.linalg.norm(ends, axis=1) - 12).mean() < 1


def test_a_stiff_surface_bridges_directions_without_a_border() -> None:
    odds = np.where(RAYS.radii_mm[:, None] <= 10, 1.0, -1.0) * np.ones(len(RAYS.directions))
    odds[:, RAYS.directions[:, 2] > 0.9] = 0
    cost = -np.cumsum(odds, axis=0)
    assert np.abs(RAYS.surface(cost, 2.5) - 10).max() < 1.5


def test_depth_is_measured_along_the_ray() -> None:
    radius = np.full(len(RAYS.directions), 10.0)
    points = np.array([[0, 0, 0], [7, 0, 0], [0, -9.5, 0], [0, 0, 11], [8, 8, 0], [0, 25, 0]], np.float64)
    assert RAYS.depth_mm(radius, points, 6) == pytest.approx([6, 3, 0.5, -1, 10 - 128**0.5, -6], abs=1e-6)


def test_depth_follows_the_direction() -> None:
    radius = 10 + 3 * RAYS.directions[:, 0]
    points = np.array([[12.0, 0, 0], [-6, 0, 0], [0, 0, 9], [-6.0, -1e-9, 0]])
    assert RAYS.depth_mm(radius, points, 6) == pytest.approx([1, 1, 1, 1], abs=0.1)
