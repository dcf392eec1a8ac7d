"""Star-shaped surfaces."""

from __future__ import annotations

import numpy as np

from kidneyseg.editing.star import Rays

RAYS = Rays(24)


def test_directions_are_unit_vectors_spread_evenly() -> None:
    np.testing.assert_allclose(np.linalg.norm(RAYS.directions, axis=1), 1)
    np.testing.assert_allclose(RAYS.directions.mean(axis=0), 0, atol=0.01)


def test_a_surface_follows_the_lowest_cost_and_bridges_gaps_in_it() -> None:
    true = 10 + 3 * RAYS.directions[:, 2]
    cost = np.abs(RAYS.radii_mm[:, None] - true)
    silent = np.random.default_rng(0).random(len(true)) < 0.3
    cost[:, silent] = 0
    radius = RAYS.surface(cost, 0.5)
    assert np.abs(radius - true).max() < 1.5


def test_a_stiff_surface_is_a_sphere() -> None:
    cost = np.abs(RAYS.radii_mm[:, None] - np.random.default_rng(0).normal(12, 3, len(RAYS.directions)))
    assert RAYS.surface(cost, 100.0).std() < RAYS.surface(cost, 0.1).std() / 2


def test_depth_is_the_distance_to_the_surface_along_the_ray() -> None:
    radius = 10 + 3 * RAYS.directions[:, 2]
    points = RAYS.directions[::20] * 8.0
    np.testing.assert_allclose(RAYS.depth_mm(radius, points, 6.0), radius[::20] - 8, atol=0.4)
    assert RAYS.depth_mm(radius, np.array([40.0, 0, 0]), 6.0) == -6
    assert RAYS.depth_mm(radius, np.zeros(3), 6.0) == 6
