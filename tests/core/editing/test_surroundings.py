"""What clicks look at."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.editing.surroundings import BIN_HU, CELL_MM, Scene, bin_of, density
from kidneyseg.imaging.labels import KIDNEY, TISSUE, TUMOUR
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.resample import lattice_for
from lesion_phantom import SPACING, TUMOUR_AT, lesion_phantom


def test_cells_hold_hu_labels_and_what_is_usual_around() -> None:
    volume, truth = lesion_phantom()
    at = (np.array(TUMOUR_AT) + 0.5) * SPACING
    scene = Scene.of(volume, truth, None, at[None], 20)
    cell = scene.cell_of(at)
    assert scene.hu[cell] == pytest.approx(60, abs=15)
    assert scene.base[cell] == TUMOUR
    assert scene.index_of(at) == pytest.approx(cell, abs=0.51)
    assert [BIN_HU[scene.around[label].argmax()] for label in (TISSUE, KIDNEY, TUMOUR)] == pytest.approx(
        [-95, 130, 60], abs=10
    )
    assert np.ptp(scene.around[3]) == 0  # there is no cyst
    assert scene.log_odds is None


def test_a_crop_has_the_same_cells() -> None:
    volume, truth = lesion_phantom()
    at = (np.array(TUMOUR_AT) + 0.5) * SPACING
    scene = Scene.of(volume, truth, None, at[None], 20)
    part = scene.crop(at[None], 8)
    assert max(part.hu.shape) <= 2 * 8 / CELL_MM + 2
    assert part.hu[part.cell_of(at)] == scene.hu[scene.cell_of(at)]
    assert part.hu.shape == part.cells.shape == part.base.shape


def test_evidence_is_tissue_where_the_networks_saw_no_point() -> None:
    volume, truth = lesion_phantom()
    at = (np.array(TUMOUR_AT) + 0.5) * SPACING
    lattice = lattice_for(volume, 2.0)
    cells = np.floor(at / 2).astype(np.int32)[None]
    cloud = PointCloud(lattice, cells, np.zeros(1, np.int16), probability=np.array([[0, 0.5, 0.5]], np.float16))
    odds = Scene.of(volume, truth, cloud, at[None], 20).log_odds
    assert odds is not None
    scene = Scene.of(volume, truth, cloud, at[None], 20)
    assert odds[(slice(None), *scene.cell_of(at))] == pytest.approx([-3, 0, 0], abs=0.01)
    assert odds[:, 0, 0, 0] == pytest.approx([3, -3, -3])


def test_networks_that_know_cysts_are_evidence_for_them() -> None:
    volume, truth = lesion_phantom()
    at = (np.array(TUMOUR_AT) + 0.5) * SPACING
    cells = np.floor(at / 2).astype(np.int32)[None]
    sure = np.array([[0, 0.01, 0.5, 0.49]], np.float16)
    cloud = PointCloud(lattice_for(volume, 2.0), cells, np.zeros(1, np.int16), probability=sure)
    scene = Scene.of(volume, truth, cloud, at[None], 20)
    assert scene.log_odds is not None
    assert scene.log_odds[(slice(None), *scene.cell_of(at))] == pytest.approx([-3, -3, 0, -0.04], abs=0.1)


def test_a_density_is_smooth_and_nowhere_zero() -> None:
    counts = np.bincount(bin_of(np.full(50, 100.0, np.float32)), minlength=len(BIN_HU))
    smooth = density(counts)
    assert smooth.sum() == pytest.approx(1)
    assert smooth.min() > 0
    assert BIN_HU[smooth.argmax()] == pytest.approx(100, abs=2.5)
    assert np.ptp(density(np.zeros(len(BIN_HU)))) == 0
