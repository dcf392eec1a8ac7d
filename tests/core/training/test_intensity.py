"""Intensity augmentation: gain, blur and noise of other scanners; air stays air."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kidneyseg.imaging.volume import HU_WINDOW
from kidneyseg.training.augmentation import Augmentation
from kidneyseg.training.intensity import Scan, add_noise, blur, change_gain_offset, correlated_noise, simulate_scanner

REACH = (5.0, 2.5, 4.0)


def alike(noise: NDArray[np.float32], axis: int, mm: float, cell_mm: float = 2.0) -> float:
    """How far noise correlates with itself so many mm along an axis."""
    moved = np.roll(noise, round(mm / cell_mm), axis)
    return float(np.corrcoef(noise.ravel(), moved.ravel())[0, 1])


def test_correlated_noise_has_sd_1_and_reaches_farthest_from_side_to_side() -> None:
    drawn = [correlated_noise((40, 40, 40), 2.0, np.random.default_rng(seed), REACH) for seed in range(24)]

    assert all(abs(float(noise.std()) - 1.0) < 1e-3 for noise in drawn)
    reach = [np.mean([alike(noise, axis, 4.0) for noise in drawn]) for axis in range(3)]
    assert reach[0] > reach[2] > reach[1] > 0.1


def test_correlated_noise_reaches_as_many_mm_on_coarser_cells() -> None:
    fine, coarse = (
        np.mean(
            [alike(correlated_noise((40, 40, 40), mm, np.random.default_rng(n), REACH), 0, 4.0, mm) for n in range(24)]
        )
        for mm in (2.0, 4.0)
    )

    assert abs(fine - coarse) < 0.15


def test_air_stays_air_and_all_stays_in_the_window() -> None:
    hu = np.full((24, 24, 24), 250.0, np.float32)
    hu[:4] = HU_WINDOW[0]
    names = ("gain_offset", "blur", "noise", "correlated_noise")
    augmentations = [Augmentation("intensity", name, 1.0) for name in names]
    for seed in range(10):
        shown = simulate_scanner(Scan(hu, 2.0), augmentations, np.random.default_rng(seed)).hu
        assert (shown[:4] == HU_WINDOW[0]).all()
        assert shown.dtype == np.float32
        assert HU_WINDOW[0] <= shown.min() <= shown.max() <= HU_WINDOW[1]


def test_the_gain_changes_tissue_more_than_fat_and_the_kidneys_level_alike() -> None:
    hu = np.array([[[-100.0, 0.0, 130.0]]], np.float32)
    changes = []
    for seed in range(60):
        scan = change_gain_offset(Scan(hu, 2.0, 130.0), np.random.default_rng(seed))
        assert scan.kidney_hu == pytest.approx(float(scan.hu[0, 0, 2]), abs=1e-3)
        changes.append((scan.hu - hu).ravel())
    fat, water, tissue = np.abs(changes).max(axis=0)
    assert water <= 12
    assert fat <= 12 + 5
    assert 25 < tissue <= 12 + 0.4 * 130
    calm = [
        change_gain_offset(Scan(hu, 2.0), np.random.default_rng(n), strong_contrast_probability=0.0) for n in range(40)
    ]
    assert max(abs(float(scan.hu[0, 0, 2]) - 130) for scan in calm) < 12 + 0.13 * 130


def test_blur_smooths_along_z_and_in_plane_separately() -> None:
    hu = np.random.default_rng(0).normal(0, 20, (30, 30, 30)).astype(np.float32)
    along_z = blur(Scan(hu, 2.0), np.random.default_rng(0), slice_mm=(5.0, 5.0), in_plane_sd_mm=(0.0, 0.0)).hu
    in_plane = blur(Scan(hu, 2.0), np.random.default_rng(0), slice_mm=(0.0, 0.0), in_plane_sd_mm=(1.2, 1.2)).hu
    assert alike(along_z, 2, 2.0) > 0.3
    assert abs(alike(along_z, 0, 2.0)) < 0.1
    assert alike(in_plane, 0, 2.0) > 0.1 > abs(alike(in_plane, 2, 2.0))


def test_noise_averages_out_on_larger_cells() -> None:
    hu = np.zeros((20, 20, 20), np.float32)
    sd = {mm: add_noise(Scan(hu, mm), np.random.default_rng(0), sd_hu=(30.0, 30.0)).hu.std() for mm in (1.0, 1.5, 4.5)}
    assert sd[1.0] == pytest.approx(30, rel=0.05)
    assert sd[1.5] == pytest.approx(sd[1.0], rel=0.05)
    assert sd[4.5] == pytest.approx(30 / 3**1.5, rel=0.05)


def test_voxels_need_not_be_cubic() -> None:
    """Blur is in mm along each axis; a voxel averages noise by its volume."""
    hu = np.random.default_rng(0).normal(0, 20, (30, 30, 30)).astype(np.float32)
    thick = Scan(hu, (0.7, 0.7, 5.0))
    along_z = blur(thick, np.random.default_rng(0), slice_mm=(5.0, 5.0), in_plane_sd_mm=(0.0, 0.0)).hu
    in_plane = blur(thick, np.random.default_rng(0), slice_mm=(0.0, 0.0), in_plane_sd_mm=(1.0, 1.0)).hu
    assert abs(alike(along_z, 2, 5.0, 5.0)) < 0.2
    assert alike(in_plane, 0, 0.7, 0.7) > 0.6
    flat = np.zeros((20, 20, 20), np.float32)
    cubic, other = (
        add_noise(Scan(flat, spacing), np.random.default_rng(0), sd_hu=(30.0, 30.0)).hu.std()
        for spacing in (4.0, (2.0, 4.0, 8.0))
    )
    assert other == pytest.approx(cubic, rel=1e-6)
    assert correlated_noise((9, 9, 9), (0.7, 0.7, 5.0), np.random.default_rng(0), (3.0, 3.0, 3.0)).std() == (
        pytest.approx(1, rel=1e-3)
    )
