"""What clicks look at."""

from __future__ import annotations

import numpy as np

from click_scene import IN_KIDNEY, IN_TUMOUR, SPACING, click_scene
from kidneyseg.editing.surroundings import BIN_HU, CELL_MM, Scene, bin_of, density

MADE = click_scene()
AT = (np.array([IN_TUMOUR]) + 0.5) * SPACING


def scene() -> Scene:
    return Scene.of(MADE.volume, MADE.truth, MADE.cloud, AT, 15.0)


def test_cells_have_the_labels_and_the_hu_of_their_place() -> None:
    one = scene()
    assert one.cells.step_mm == (CELL_MM,) * 3
    cell = one.cell_of(AT[0])
    assert one.base[cell] == 2
    assert abs(one.hu[cell] - 70) < 15
    np.testing.assert_allclose(one.index_of(one.cells.centres_mm(np.array([cell]))[0].astype(float)), cell, atol=0.01)


def test_the_networks_saw_kidney_where_the_tumour_is() -> None:
    one = scene()
    assert one.log_odds is not None
    tissue, kidney, tumour = one.log_odds[(slice(None), *one.cell_of(AT[0]))]
    assert kidney > 2 > -2 > max(tissue, tumour)
    assert Scene.of(MADE.volume, MADE.truth, None, AT, 15.0).log_odds is None


def test_a_crop_keeps_places() -> None:
    one = scene()
    part = one.crop(AT, 6.0)
    assert np.prod(part.hu.shape) < np.prod(one.hu.shape)
    assert part.hu[part.cell_of(AT[0])] == one.hu[one.cell_of(AT[0])]


def test_hu_are_counted_by_label() -> None:
    at = (np.array([IN_KIDNEY]) + 0.5) * SPACING
    around = Scene.of(MADE.volume, MADE.truth, None, at, 15.0).around
    np.testing.assert_allclose(around.sum(axis=1), 1)
    assert abs(BIN_HU[around[1].argmax()] - 160) < 15
    assert around[3].std() < 1e-9  # no cyst: uniform


def test_a_density_is_smooth_and_nowhere_zero() -> None:
    counts = np.zeros(len(BIN_HU))
    counts[10] = 5
    one = density(counts)
    assert one.min() > 0
    assert one.argmax() == 10
    np.testing.assert_allclose(one.sum(), 1)
    assert bin_of(np.array([BIN_HU[10], -9999, 9999], np.float32)).tolist() == [10, 0, len(BIN_HU) - 1]
