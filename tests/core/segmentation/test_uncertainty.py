"""The uncertainty of the networks on the voxels of a slice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.segmentation.uncertainty import uncertainty_of

SHAPE, SPACING = (12, 10, 6), (1.0, 1.0, 3.0)
LATTICE = Lattice((2.0, 2.0, 2.0), (6, 5, 9))


def cloud() -> PointCloud:
    index = np.array([[1, 1, 2], [1, 1, 3], [4, 2, 2]], np.int32)
    probability = np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0]], np.float16)
    return PointCloud(LATTICE, index, np.zeros(3, np.int16), probability.argmax(1).astype(np.uint8), probability)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_voxel_has_the_uncertainty_of_its_cell(axis: int) -> None:
    unsure = uncertainty_of(cloud())
    assert unsure is not None
    dense = np.zeros(LATTICE.shape, np.uint8)
    dense[1, 1, 3], dense[4, 2, 2] = 255, 191
    expected = np.zeros(SHAPE, np.uint8)
    for x, y, z in np.ndindex(SHAPE):
        expected[x, y, z] = dense[int((x + 0.5) / 2), int((y + 0.5) / 2), int((z + 0.5) * 3 / 2)]
    assert expected.any()
    for index in range(SHAPE[axis]):
        found = unsure.on_slice(axis, index, SHAPE, SPACING)
        np.testing.assert_allclose(found, np.take(expected, index, axis), atol=1)


def test_without_probabilities_nothing_is_known() -> None:
    assert uncertainty_of(replace(cloud(), probability=None)) is None
    assert uncertainty_of(cloud().select(np.zeros(3, np.bool_))) is None
