"""The central voxel lies in the object, nearest its centre of mass."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.findings.centre import central_voxel


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0), (3.0, 0.5, 1.0)])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_nearest_voxel_of_any_object(spacing: tuple[float, float, float], seed: int) -> None:
    own = np.random.default_rng(seed).random((14, 11, 7)) < 0.02
    own[3, 4, 5] = True
    index = np.argwhere(own)
    distance = np.linalg.norm((index - index.mean(axis=0)) * spacing, axis=1)
    assert tuple(index[distance.argmin()].tolist()) == central_voxel(own, spacing)


def test_the_centre_of_a_hollow_object_is_in_its_wall() -> None:
    own = np.ones((9, 9, 3), bool)
    own[1:8, 1:8] = False
    x, y, z = central_voxel(own, (1.0, 1.0, 1.0))
    assert own[x, y, z]
    assert z == 1
    assert 4 in (x, y)


def test_one_voxel_and_a_block() -> None:
    own = np.zeros((5, 5, 5), bool)
    own[4, 0, 2] = True
    assert central_voxel(own, (1.0, 2.0, 3.0)) == (4, 0, 2)
    assert central_voxel(np.ones((5, 7, 9), bool), (1.0, 2.0, 3.0)) == (2, 3, 4)
