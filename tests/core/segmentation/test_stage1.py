"""Stage 1 of the method `default`."""

from __future__ import annotations

import numpy as np
import torch

from contexts import context_of
from fake_networks import FakeNetwork
from kidneyseg.imaging.labels import KIDNEY
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.segmentation.stage1 import detect_kidneys, remove_small_detections
from kidneyseg.sparse import SparseUNet


def test_a_mirror_image_gives_the_same() -> None:
    rng = np.random.default_rng(1)
    there = np.argwhere(rng.random((20, 12, 9)) < 0.5).astype(np.int32)
    hu = rng.integers(-100, 200, len(there)).astype(np.int16)
    lattice = Lattice((5.0, 5.0, 5.0), (20, 12, 9))
    torch.manual_seed(0)
    context = context_of(SparseUNet(1, 2, [4, 6]).arrays)
    found = detect_kidneys(PointCloud(lattice, there, hu), context)
    mirrored = there * (-1, 1, 1) + (19, 0, 0)
    order = np.lexsort(mirrored.T[::-1])
    cloud = PointCloud(lattice, mirrored[order].astype(np.int32), hu[order])
    other = detect_kidneys(cloud, context)
    assert found.probability is not None
    assert other.probability is not None
    np.testing.assert_allclose(found.probability[order], other.probability, atol=2e-3)
    assert np.ptp(found.probability[:, 1]) > 0.1, "as the network says, not all alike"


def behind() -> FakeNetwork:
    """Calls kidney what is bright and lies in the back half."""

    def rule(coords, features):
        kidney = (features[:, 0] > 0.2) & (coords[:, 1] < 20)
        return [~kidney, kidney]

    return FakeNetwork(1, 2, rule)


def test_small_detections_become_tissue() -> None:
    hu = np.full((40, 20, 20), 40, np.int16)
    hu[2:4, 2:4, 2:5] = 180  # 12 cells of 0.125 mL: 1.5 mL
    hu[10:11, 2:13, 2] = 180  # 11 cells
    hu[20:30, 2:10, 2:10] = 180
    index = np.argwhere(hu > 0).astype(np.int32)
    cloud = PointCloud(Lattice((5.0, 5.0, 5.0), hu.shape), index, hu[tuple(index.T)])
    found = detect_kidneys(cloud, context_of(behind()))
    assert set(index[found.labels == KIDNEY, 0]) == {2, 3, *range(20, 30)}


def test_detections_that_touch_by_a_corner_are_one() -> None:
    detected = np.zeros((4, 4, 4), bool)
    detected[:2, :2, :2] = detected[2:, 2:, 2:] = True
    assert np.array_equal(remove_small_detections(detected, 0.1), detected), "1.6 mL"
    assert not remove_small_detections(detected, 0.09).any()
