"""The paper's integer grid."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.errors import ResourceError
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.grid import paper_cells
from kidneyseg.points.resample import voxel_lattice


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_scaled_by_half_their_distance_in_pixels(axis: int) -> None:
    spacing = tuple(4.0 if i == axis else 0.8 for i in range(3))
    volume = Volume(np.zeros((3, 3, 3), np.int16), spacing, np.diag([*spacing, 1.0]), axis)
    index = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]], np.int32)
    cloud = PointCloud(voxel_lattice(volume.shape, spacing), index, np.zeros(3, np.int16))
    cells = paper_cells(cloud, volume)
    assert cells[:, axis].tolist() == [0, 2, 5]  # 5 pixels a slice, halved
    assert np.delete(cells, axis, 1).tolist() == [[0, 0], [1, 1], [2, 2]]


def test_a_volume_larger_than_the_grid_is_refused() -> None:
    volume = Volume(np.zeros((1, 1, 600), np.int16), (0.5, 0.5, 2.0), np.eye(4))
    cloud = PointCloud(
        voxel_lattice(volume.shape, volume.spacing_mm), np.array([[0, 0, 512]], np.int32), volume.hu[0, 0, :1]
    )
    with pytest.raises(ResourceError, match="1025 cells, more than the 1024 of the method `paper`"):
        paper_cells(cloud, volume)
