"""The random walk with priors."""

from __future__ import annotations

import numpy as np

from kidneyseg.editing.random_walk import random_walk


def test_a_hint_spreads_up_to_an_edge() -> None:
    hu = np.zeros((24, 6, 6), np.float32)
    hu[12:] = 100
    prior = np.full(hu.shape, 0.5)
    prior[4:8] = 0.9
    prior[16:20] = 0.1
    inside = random_walk(prior, hu, []) > 0.5
    assert inside[:12].all()
    assert not inside[12:].any()


def test_noise_in_the_prior_is_smoothed() -> None:
    rng = np.random.default_rng(0)
    prior = rng.choice([0.2, 0.9], (12, 12, 12), p=[0.3, 0.7])
    assert (random_walk(prior, np.zeros(prior.shape, np.float32), []) > 0.5).all()


def test_a_seed_overrules_its_prior() -> None:
    prior = np.full((8, 8, 8), 0.9)
    walked = random_walk(prior, np.zeros(prior.shape, np.float32), [((4, 4, 4), False)])
    assert walked[4, 4, 4] < 0.1
    assert walked[0, 0, 0] > 0.5
