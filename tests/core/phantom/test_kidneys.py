"""The phantom's kidneys and tumours: plausible size, position and number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from phantoms import SHAPE, SPACING, coarse_phantom


@pytest.mark.parametrize("seed", range(3))
def test_kidneys_are_where_kidneys_are(seed: int) -> None:
    """Size and tilt as on 14 real CTs: 80 to 260 ml, the upper poles nearer to spine and back."""
    volume, labels = coarse_phantom(seed, tumours=0)
    middle = SHAPE[0] // 2
    for side in (1, -1):
        kidney = labels.copy()
        kidney[slice(None, middle) if side > 0 else slice(middle, None)] = 0
        assert 80 < kidney.sum() * volume.voxel_ml < 260
        _, count = ndimage.label(kidney, np.ones((3, 3, 3)))
        assert count == 1
        place = np.argwhere(kidney) * SPACING
        _, axes = np.linalg.eigh(np.cov((place - place.mean(0)).T))
        up = axes[:, 2] * np.sign(axes[2, 2])
        assert up[2] > 0.75
        assert -side * up[0] > -0.05
        assert up[1] < 0.05


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tumours_grow_from_kidneys(count: int) -> None:
    _, labels = coarse_phantom(2, tumours=count)
    parts, found = ndimage.label(labels == 2, np.ones((3, 3, 3)))
    assert found == count
    for number in range(1, count + 1):
        rim = ndimage.binary_dilation(parts == number, np.ones((3, 3, 3)))
        assert (labels[rim] == 1).any()
    if count == 2:
        sides = [np.argwhere(parts == number)[:, 0].mean() < SHAPE[0] / 2 for number in (1, 2)]
        assert sides[0] != sides[1], "they take sides in turn"
