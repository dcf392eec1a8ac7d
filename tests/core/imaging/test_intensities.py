"""Voxel values that are not HU: padding, offsets, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.imaging.intensities import AIR_HU, find_hu_offset
from kidneyseg.imaging.nifti import load_mask, load_volume, save_mask
from nifti_files import HU, body_hu, patient_hu, refused, saved, written

X, Y = np.ogrid[:64, :56]
CIRCLE = np.broadcast_to(np.hypot((X - 32) / 32, (Y - 28) / 28) > 1, (64, 56)).copy()


@pytest.mark.parametrize(
    ("change", "calibrated"),
    [
        (lambda hu: hu, True),
        (lambda hu: np.clip(hu, -125, 275), True),
        (lambda hu: np.clip(hu, -125, 275) + 125, False),
        (lambda hu: hu + 1024, False),
        (lambda hu: (hu + 600) % 256, False),
    ],
    ids=["full range", "clipped", "0...400", "no offset", "0...255"],
)
def test_calibration_is_noticed(tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], calibrated: bool) -> None:
    image = nib.Nifti1Image(change(patient_hu()).astype(np.int16), np.eye(4))
    volume = load_volume(written(image, tmp_path / "ct.nii"))
    assert volume.calibrated is calibrated
    assert volume.hu_offset == 0
    assert volume.notes == ()


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


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_odd_labels_are_refused(tmp_path: Path, bad: float) -> None:
    labels = np.zeros(HU.shape, np.float32)
    labels[0] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        load_mask(saved(tmp_path / "mask.nii", labels))


@pytest.mark.parametrize(("added", "dtype"), [(1024, np.uint16), (1000, np.int16), (500, np.int16), (-1024, np.int16)])
def test_an_offset_is_recognised_corrected_and_told(tmp_path: Path, added: int, dtype: type) -> None:
    hu = body_hu()
    hu[CIRCLE] = -1024
    path = saved(tmp_path / "ct.nii.gz", np.maximum(hu.astype(np.int32) + added, np.iinfo(dtype).min).astype(dtype))
    volume = load_volume(path)
    assert volume.hu_offset == pytest.approx(-added, abs=2)
    expected = np.maximum(hu, -1024) if dtype is np.uint16 else hu
    np.testing.assert_allclose(volume.hu, expected, atol=2)
    assert f"HU {'+' if added > 0 else '-'} {abs(volume.hu_offset)};" in volume.notes[0]
    assert volume.calibrated
    undone = load_volume(path, hu_offset=0)
    assert (undone.hu_offset, undone.notes, undone.calibrated) == (0, (), added < 900)
    np.testing.assert_allclose(undone.hu, hu.astype(np.int32) + added, atol=24)
    assert load_volume(path, hu_offset=-7).hu_offset == -7


def test_air_of_the_one_value_0_is_minus_1024_hu() -> None:
    hu = body_hu()
    hu[hu < -500] = -1024
    assert find_hu_offset(hu + np.int16(1024)) == -1024


def test_padding_darker_than_air_is_not_taken_for_air() -> None:
    """It would make air soft tissue; there is more of it here than of the body."""
    hu = np.full((120, 120, 20), -1000, np.int16)
    hu += np.random.default_rng(2).normal(0, 10, hu.shape).astype(np.int16)
    hu[28:92, 32:88] = body_hu()
    hu[:20] = hu[-20:] = -2000
    assert find_hu_offset(hu + np.int16(1024)) == -1024


@pytest.mark.parametrize("added", [8192, 32768])
@pytest.mark.parametrize("air", [-1000, -1024])
def test_the_offsets_of_unsigned_types_are_recognised(tmp_path: Path, added: int, air: int) -> None:
    hu = np.maximum(body_hu().astype(np.int32), air)
    hu[CIRCLE] = air
    path = saved(tmp_path / "ct.nii.gz", (hu + added).astype(np.uint16))
    volume = load_volume(path)
    assert (volume.hu_offset, volume.calibrated) == (-added, True)
    np.testing.assert_array_equal(volume.hu, hu)
    np.testing.assert_array_equal(load_volume(path, hu_offset=-added).hu, hu)


def test_padding_and_an_offset_together(tmp_path: Path) -> None:
    voxels = np.maximum(body_hu().astype(np.int32) + 1024, 0).astype(np.uint16)
    voxels[CIRCLE] = 63536  # -2000 as a uint16
    volume = load_volume(saved(tmp_path / "ct.nii.gz", voxels))
    assert volume.hu_offset == -1024
    assert len(volume.notes) == 2
    assert (volume.hu[CIRCLE] == AIR_HU).all()
    np.testing.assert_array_equal(volume.hu[~CIRCLE], np.maximum(body_hu()[~CIRCLE], -1024))


def test_an_offset_that_leaves_int16_is_clipped(tmp_path: Path) -> None:
    hu = np.full(HU.shape, 32000, np.int16)
    assert (load_volume(saved(tmp_path / "ct.nii", hu), hu_offset=2000).hu == 32767).all()


def _brain_mr() -> np.ndarray:
    """Background of 0, and three tissues like those of a 12-bit MR image."""
    hu = body_hu(0).astype(np.float32)
    values = np.select([hu < -500, hu < 0, hu < 100], [0.0, 1300.0, 700.0], 350.0)
    return np.abs(values + np.random.default_rng(1).normal(0, 15, values.shape))


@pytest.mark.parametrize(
    "values",
    [
        body_hu(),
        np.clip(body_hu(), -125, 275),
        np.clip(body_hu(), -125, 275) + 125,
        np.where(CIRCLE[:, :, None], -2000, body_hu()),
        np.where(CIRCLE[:, :, None], -3024, body_hu()),
        body_hu()[16:48, 14:42],
        np.zeros((20, 20, 20)),
        np.full((20, 20, 20), 1024),
        np.random.default_rng(0).normal(1000, 300, (30, 30, 30)),
        np.random.default_rng(0).uniform(0, 2000, (30, 30, 30)),
        _brain_mr(),
        _brain_mr() / 6,
    ],
    ids=[
        *("HU", "clipped HU", "0...400", "HU in padding of -2000", "HU in padding of -3024", "no air"),
        *("zeros", "constant", "one broad peak", "uniform", "MR, 12 bits", "MR, 8 bits"),
    ],
)
def test_no_offset_is_found_where_there_is_none_or_it_is_not_certain(values: np.ndarray) -> None:
    assert find_hu_offset(np.asfortranarray(values, np.int16)) == 0
