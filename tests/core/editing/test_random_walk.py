"""The random walk with priors."""

from __future__ import annotations

import numpy as np

from kidneyseg.editing.random_walk import random_walk

SHAPE = (12, 10, 8)


def image() -> np.ndarray:
    hu = np.zeros(SHAPE, np.float32)
    hu[6:] = 100
    return hu


def test_an_uncertain_prior_is_decided_by_seeds_up_to_an_edge() -> None:
    found = random_walk(np.full(SHAPE, 0.5), image(), [((2, 5, 4), True), ((9, 5, 4), False)])
    assert found[2, 5, 4] > 0.95
    assert found[9, 5, 4] < 0.05
    assert found[:6].mean() > 0.501
    assert found[6:].mean() < 0.499


def test_a_lone_wrong_cell_follows_its_neighbours() -> None:
    prior = np.where(image() > 50, 0.9, 0.1)
    prior[3, 5, 4] = 0.9
    found = random_walk(prior, image(), [])
    assert found[3, 5, 4] < 0.5
    assert found[9, 5, 4] > 0.5


def test_a_certain_prior_stays() -> None:
    np.testing.assert_allclose(random_walk(np.ones(SHAPE), image(), []), 1, atol=0.01)
