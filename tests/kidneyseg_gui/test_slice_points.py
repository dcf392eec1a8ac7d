from __future__ import annotations

import numpy as np
import pytest

from fakes import make_volume
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg_gui.slice_points import TISSUE_POINT, SlicePoints


def cloud_of(lattice: Lattice, *points: tuple[tuple[int, int, int], int]) -> PointCloud:
    index = np.array([at for at, _ in points], np.int32)
    return PointCloud.of_cells(lattice, index, np.array([label for _, label in points], np.uint8))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_voxels_lie_on_their_own_pixels(axis: int):
    volume = make_volume((10, 12, 14), (2.0, 2.0, 5.0))
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, volume.shape).astype(np.uint8)
    index = np.argwhere(truth > 0).astype(np.int32)
    lattice = Lattice(volume.spacing_mm, volume.shape)
    points = SlicePoints(PointCloud.of_cells(lattice, index, truth[tuple(index.T)]))
    for at in (0, 5, volume.shape[axis] - 1):
        assert np.array_equal(points.on_slice(axis, at, volume), np.take(truth, at, axis=axis))


def test_a_large_cell_is_one_pixel_on_each_slice_through_it():
    volume = make_volume((20, 20, 20), (1.0, 1.0, 1.0))
    points = SlicePoints(cloud_of(Lattice((4.0, 4.0, 4.0), (5, 5, 5)), ((1, 2, 3), KIDNEY), ((2, 2, 3), TUMOUR)))
    for z in range(20):
        found = points.on_slice(2, z, volume)
        assert np.argwhere(found).tolist() == ([[6, 10], [10, 10]] if 12 <= z < 16 else [])
    assert found.dtype == np.uint8
    assert points.on_slice(2, 12, volume)[6, 10] == KIDNEY
    assert points.on_slice(2, 12, volume)[10, 10] == TUMOUR


def test_on_thick_slices_only_the_layer_around_the_middle_is_shown():
    volume = make_volume((8, 8, 4), (2.0, 2.0, 6.0))
    column = [((1, 1, z), KIDNEY) for z in range(12)] + [((2, 2, 4), TUMOUR)]
    points = SlicePoints(cloud_of(Lattice((2.0, 2.0, 2.0), (8, 8, 12)), *column))
    assert np.argwhere(points.on_slice(2, 1, volume)).tolist() == [[1, 1], [2, 2]]
    assert np.argwhere(points.on_slice(2, 0, volume)).tolist() == [[1, 1]]


def test_tissue_and_points_without_labels_are_marked():
    volume = make_volume((4, 4, 4), (1.0, 1.0, 1.0))
    lattice = Lattice(volume.spacing_mm, volume.shape)
    tissue = cloud_of(lattice, ((1, 2, 3), 0))
    unlabelled = PointCloud.of_cells(lattice, tissue.index)
    for cloud in (tissue, unlabelled):
        assert SlicePoints(cloud).on_slice(2, 3, volume)[1, 2] == TISSUE_POINT
    nothing = SlicePoints(PointCloud.of_cells(lattice)).on_slice(0, 1, volume)
    assert nothing.shape == (4, 4)
    assert not nothing.any()
