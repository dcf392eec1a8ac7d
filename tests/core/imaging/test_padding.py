"""Voxels that are not HU: padding outside the body, and what is refused inside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.imaging.intensities import AIR_HU
from kidneyseg.imaging.nifti import load_mask, load_volume, save_mask
from nifti_files import HU, body_hu, refused, saved

X, Y = np.ogrid[:64, :56]
CIRCLE = np.broadcast_to(np.hypot((X - 32) / 32, (Y - 28) / 28) > 1, (64, 56)).copy()


@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf, 63536.0, -99999.0, 3.4e38, -3.4e38])
@pytest.mark.parametrize("where", ["around the scanner circle", "whole slices"])
def test_padding_outside_the_body_is_air(tmp_path: Path, padding: float, where: str) -> None:
    voxels = body_hu().astype(np.float32)
    odd = np.zeros(voxels.shape, bool)
    if where == "whole slices":
        odd[:, :, :3] = True
    else:
        odd[CIRCLE] = True
    voxels[odd] = padding
    path = saved(tmp_path / "ct.nii.gz", voxels)
    volume = load_volume(path)
    assert volume.hu.dtype == np.int16
    assert (volume.hu[odd] == AIR_HU).all()
    np.testing.assert_array_equal(volume.hu[~odd], body_hu()[~odd])
    (note,) = volume.notes
    assert "taken as air" in note
    assert ("NaN" in note) is not np.isfinite(padding)
    assert volume.calibrated
    save_mask(np.asarray(volume.hu > 300), volume, tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.nii.gz")[0], volume.hu > 300)


def test_a_scanner_circle_may_cut_the_body(tmp_path: Path) -> None:
    x, y, _ = np.ogrid[:512, :512, :8]
    voxels = np.full((512, 512, 8), 40, np.float32)
    voxels[np.broadcast_to(np.hypot(x - 256, y - 256) > 256, voxels.shape)] = np.nan
    volume = load_volume(saved(tmp_path / "ct.nii", voxels))
    np.testing.assert_array_equal(volume.hu == AIR_HU, np.isnan(voxels))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 40000.0, -33000.0, 1e30])
def test_odd_voxels_inside_the_body_are_refused_with_their_place(tmp_path: Path, bad: float) -> None:
    voxels = body_hu().astype(np.float32)
    voxels[CIRCLE] = np.nan
    voxels[20:23, 30, 7] = bad
    affine = np.diag([0.8, 0.8, 3, 1])
    affine[:3, 3] = (-100, 5, 40)
    with pytest.raises(InputError, match=r"inside the body.*first at -84, 29, 61 mm") as caught:
        load_volume(saved(tmp_path / "ct.nii.gz", voxels, affine))
    assert ("NaN or infinite" in str(caught.value)) is not np.isfinite(bad)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 40000.0, -33000.0, 1e30])
def test_one_odd_voxel_in_a_small_volume_is_refused(tmp_path: Path, bad: float) -> None:
    for voxels in (HU.astype(np.float32), np.zeros(HU.shape, np.float32)):
        voxels[3, 4, 5] = bad
        message = refused(saved(tmp_path / "ct.nii.gz", voxels), "2, 3, 15 mm")
        assert ("NaN or infinite" in message) is not np.isfinite(bad)


def test_a_volume_of_padding_is_refused(tmp_path: Path) -> None:
    refused(saved(tmp_path / "ct.nii.gz", np.full(HU.shape, np.nan, np.float32)), "NaN or infinite")
