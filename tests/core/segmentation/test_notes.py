"""Kidneys that DBSCAN removed are told from kidneys that the networks did not find."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.imaging.labels import KIDNEY, TISSUE
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.segmentation.notes import removed_by_clustering
from kidneyseg.settings import preset


def cloud_of(*sizes: int, label: int = KIDNEY) -> PointCloud:
    """Cubes of cells of 2 mm, far apart; a cube of 9 cells has 5.8 mL."""
    cubes = [np.argwhere(np.ones((n,) * 3)) + np.array([40 * number, 0, 0]) for number, n in enumerate(sizes)]
    index = np.concatenate([np.zeros((0, 3), np.int64), *cubes]).astype(np.int32)
    hu, labels = np.zeros(len(index), np.int16), np.full(len(index), label, np.uint8)
    return PointCloud(Lattice((2.0, 2.0, 2.0), (400, 40, 40)), index, hu, labels)


@pytest.mark.parametrize(("method", "words"), [("default", "lower the core share"), ("paper", "lower min samples")])
def test_the_sentence_names_the_settings_of_the_method(method: str, words: str) -> None:
    assert words in removed_by_clustering(cloud_of(9), cloud_of(), preset(method))


@pytest.mark.parametrize(
    ("stage2", "kept"),
    [
        (cloud_of(), cloud_of()),
        (cloud_of(9, label=TISSUE), cloud_of()),
        (cloud_of(7, 7, 7, 7), cloud_of()),  # scattered pieces, each too small for a kidney
        (cloud_of(9), cloud_of(9)),
    ],
)
def test_without_a_kidney_that_was_removed_there_is_no_sentence(stage2: PointCloud, kept: PointCloud) -> None:
    assert removed_by_clustering(stage2, kept, preset("default")) == ""
