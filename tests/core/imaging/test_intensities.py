"""Voxel values that are not HU: what is refused as labels, offsets, calibration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.imaging.intensities import AIR_HU, find_hu_offset
from kidneyseg.imaging.nifti import load_mask, load_volume
from nifti_files import HU, body_hu, patient_hu, saved, written

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
