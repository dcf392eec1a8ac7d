"""Lattice arithmetic and selection of points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.imaging.labels import KIDNEY, TISSUE, TUMOUR
from kidneyseg.points.cloud import Lattice, PointCloud

LATTICE = Lattice((2.0, 1.0, 0.5), (4, 5, 6), (2.0, 0.0, -1.0))


def test_a_cell_is_found_again_from_its_centre() -> None:
    index = np.argwhere(np.ones(LATTICE.shape, bool))
    centres = LATTICE.centres_mm(index)
    assert centres.dtype == np.float32
    assert centres[0].tolist() == [3.0, 0.5, -0.75]
    found = np.stack([LATTICE.cells_of(centres[:, axis], axis) for axis in range(3)], axis=1)
    assert np.array_equal(found, index)


def test_a_cell_holds_its_lower_border_and_not_its_upper_one() -> None:
    assert LATTICE.cells_of(np.array([1.999, 2.0, 3.999, 4.0]), 0).tolist() == [-1, 0, 0, 1]


def test_first_cell_survives_rounding_of_the_origin() -> None:
    for first in range(50):
        box = Lattice((0.7, 0.7, 3.1), (1, 1, 1), (first * 0.7, 0.0, first * 3.1))
        assert box.first_cell.tolist() == [first, 0, first]
        assert box.first_cell.dtype == np.int32


def test_selection_keeps_the_columns_together() -> None:
    index = np.array([[0, 0, 0], [1, 2, 3], [3, 4, 5]], np.int32)
    hu = np.array([10, 20, 30], np.int16)
    labels = np.array([TISSUE, KIDNEY, TUMOUR], np.uint8)
    cloud = PointCloud(LATTICE, index, hu, labels, np.eye(3, dtype=np.float16))
    part = cloud.select(labels > TISSUE)
    assert len(part) == 2
    assert np.array_equal(part.index, index[1:])
    assert part.hu.tolist() == [20, 30]
    assert part.labels is not None
    assert part.labels.tolist() == [KIDNEY, TUMOUR]
    assert np.array_equal(part.probability, np.eye(3)[1:])
    assert cloud.select(np.array([2, 0])).hu.tolist() == [30, 10]
    bare = PointCloud(LATTICE, index, hu).select(np.array([1]))
    assert (bare.labels, bare.probability) == (None, None)


def test_points_at_the_ends_of_the_lattice() -> None:
    """Each end, or the layer beside it."""
    wide = Lattice((1.0, 1.0, 1.0), (9, 9, 9))
    index = np.array([[1, 4, 4], [2, 4, 4], [4, 4, 6], [4, 4, 7], [4, 8, 4]], np.int32)
    assert PointCloud.of_cells(wide, index).at_end.tolist() == [True, False, False, True, True]


def test_a_new_label_takes_over_the_probability() -> None:
    index = np.array([[0, 0, 0], [1, 1, 1]], np.int32)
    cloud = PointCloud.of_cells(LATTICE, index, np.array([TUMOUR, TUMOUR], np.uint8))
    assert cloud.relabelled(np.array([1]), TUMOUR, KIDNEY).labels.tolist() == [TUMOUR, KIDNEY]
    probability = np.array([[0.25, 0.25, 0.5], [0.0, 0.25, 0.75]], np.float16)
    changed = replace(cloud, probability=probability).relabelled(np.array([1]), TUMOUR, KIDNEY)
    assert changed.probability is not None
    assert changed.probability.tolist() == [[0.25, 0.25, 0.5], [0.0, 1.0, 0.0]]
    assert cloud.labels.tolist() == [TUMOUR, TUMOUR], "the input stays as it was"
    with pytest.raises(ValueError, match="labels"):
        PointCloud.of_cells(LATTICE, index).relabelled(np.array([1]), TUMOUR, KIDNEY)
