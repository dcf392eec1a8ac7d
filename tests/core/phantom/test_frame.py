"""Table, body wall, bones and chest of the phantom."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from phantoms import SHAPE, coarse_phantom


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    return coarse_phantom(3)[0].hu


def test_the_body_is_supine_in_air(hu: np.ndarray) -> None:
    assert np.median(hu[:4, -4:, :]) == pytest.approx(-1000, abs=20)
    body = ndimage.binary_opening(hu > -300, iterations=2)
    assert 0.25 < body.mean() < 0.75
    bone = np.argwhere((hu > 350) & body)
    spine = bone[np.abs(bone[:, 0] - SHAPE[0] / 2) < 6]
    assert len(spine) > 100
    assert spine[:, 1].mean() < np.argwhere(body)[:, 1].mean(), "the spine is behind the middle"


def test_lungs_lie_above_the_abdomen(hu: np.ndarray) -> None:
    top, bottom = hu[30:66, 30:66, -2], hu[30:66, 30:66, 2]
    assert (top < -600).mean() > 0.2 > (bottom < -600).mean()


def test_the_table_lies_behind_the_back(hu: np.ndarray) -> None:
    middle = hu[SHAPE[0] // 2].mean(axis=1)  # over the slices, so that noise averages out
    foam = np.flatnonzero((middle > -970) & (middle < -900))
    assert len(foam) >= 3
    assert foam.max() < np.flatnonzero(middle > -200).min()
