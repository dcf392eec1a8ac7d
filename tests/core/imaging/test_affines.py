"""Where a header places its voxels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.imaging.nifti import load_mask, load_volume, save_mask
from kidneyseg.imaging.volume import Volume
from nifti_files import (
    HU,
    assert_lies_on,
    image_in,
    patient_hu,
    refused,
    rotation,
    some_mask,
    with_fields,
    with_header,
    written,
)

AFFINE = np.diag([0.8, 0.8, 3, 1])


@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (2, 1), (0, 0), (4, 3)])
def test_form_codes_stay(tmp_path: Path, sform: int, qform: int) -> None:
    image = image_in("LPS", rotation(10))
    image.set_sform(image.affine if sform else None, code=sform)
    image.set_qform(image.affine if qform else None, code=qform)
    path = written(image, tmp_path / "ct.nii.gz")
    header = nib.load(path).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (sform, qform)
    volume = load_volume(path)
    mask = some_mask(volume)
    save_mask(mask, volume, tmp_path / "mask.nii.gz")
    assert_lies_on(tmp_path / "mask.nii.gz", path, mask, volume)


def test_qform_is_not_used_when_there_is_an_sform(tmp_path: Path) -> None:
    image = image_in("RAS")
    image.set_qform(np.diag([-1.0, -1, 1, 1]) @ image.affine, code=1)
    image.set_sform(image.affine, code=1)
    np.testing.assert_array_equal(load_volume(written(image, tmp_path / "ct.nii")).hu, patient_hu())


@pytest.mark.parametrize("size", [0.0, np.nan, np.inf, 1e-9, 1e9])
@pytest.mark.parametrize("sform", [0, 1])
def test_impossible_spacing(tmp_path: Path, size: float, sform: int) -> None:
    fields: dict[str, Any] = {"pixdim": [1, 0.8, 0.8, size, 0, 0, 0, 0], "qform_code": 1, "sform_code": sform}
    if np.isfinite(size) and size:
        fields["srow_z"] = [0, 0, size, 0]
    refused(with_header(tmp_path / "ct.nii", **fields), "spacing", "mm")


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ({"srow_z": [0, 0, 0, 0]}, "singular"),
        ({"srow_x": [0.8, 0.8, 0, 0], "srow_y": [0.8, 0.8, 0, 0]}, "singular"),
        ({"srow_x": [0.8, 0.8, 0, 0], "srow_y": [0, 0, 0, 0]}, "singular"),
        ({"srow_x": [np.nan, 0, 0, 0]}, "NaN"),
        ({"srow_x": [0.8, 0, 0, np.inf]}, "NaN or infinite"),
    ],
    ids=["zero axis", "parallel", "flat", "nan", "infinite origin"],
)
def test_singular_affine(tmp_path: Path, rows: dict[str, Any], word: str) -> None:
    refused(with_header(tmp_path / "ct.nii", sform_code=1, **rows), "affine", word)


def test_bad_quaternion(tmp_path: Path) -> None:
    path = with_header(tmp_path / "ct.nii", sform_code=0, qform_code=1, quatern_b=1, quatern_c=1, quatern_d=1)
    refused(path, "orientation")


@pytest.mark.parametrize(("degrees", "fine"), [(0.4, True), (0.6, False), (12.0, False)])
def test_shear(tmp_path: Path, degrees: float, fine: bool) -> None:
    affine = np.diag([0.8, 0.8, 3.0, 1.0])
    affine[1, 2] = 3 * np.tan(np.radians(degrees))
    image = nib.Nifti1Image(HU, None)
    image.set_sform(affine, code=1)
    nib.save(image, tmp_path / "ct.nii")
    if fine:
        np.testing.assert_array_equal(load_volume(tmp_path / "ct.nii").hu, HU)
    else:
        refused(tmp_path / "ct.nii", "sheared", f"{degrees:.1f}°", "Resample")


def ct_with(path: Path, hu: np.ndarray | None = None, **fields: Any) -> Path:
    """A file that lies at 0.8 x 0.8 x 3 mm by sform and qform alike, with header fields changed."""
    image = nib.Nifti1Image(HU if hu is None else hu, AFFINE)
    image.set_sform(AFFINE, code=1)
    image.set_qform(AFFINE, code=1)
    image.header.set_xyzt_units("mm")
    return with_fields(written(image, path), **fields)


def mask_keeps_the_header(ct: Path, folder: Path) -> Volume:
    """A mask of the CT has its placing header fields byte for byte, and is read back to the same place."""
    volume = load_volume(ct)
    mask = some_mask(volume)
    save_mask(mask, volume, folder / "mask.nii")
    fields = ("dim", "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d")
    fields += ("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z")
    before, after = (nib.Nifti1Header(path.read_bytes()[:348], check=False) for path in (ct, folder / "mask.nii"))
    for name in fields:
        assert before[name].tobytes() == after[name].tobytes(), name
    again, geometry = load_mask(folder / "mask.nii")
    np.testing.assert_array_equal(again, mask)
    np.testing.assert_array_equal(geometry.affine, volume.affine)
    return volume


ZEROS = {"srow_x": [0] * 4, "srow_y": [0] * 4, "srow_z": [0] * 4}
IDENTITY = {"srow_x": [1, 0, 0, 0], "srow_y": [0, 1, 0, 0], "srow_z": [0, 0, 1, 0]}


@pytest.mark.parametrize(("unit", "factor"), [(1, 1e-3), (2, 1), (3, 1e3), (0, 1)], ids=["m", "mm", "micron", "none"])
def test_the_headers_unit_is_used(tmp_path: Path, unit: int, factor: float) -> None:
    affine = np.diag([factor, factor, factor, 1]) @ AFFINE
    image = nib.Nifti1Image(HU, affine)
    image.set_qform(affine, code=1)
    path = with_fields(written(image, tmp_path / "ct.nii"), xyzt_units=unit + 8)  # 8: seconds
    volume = mask_keeps_the_header(path, tmp_path)
    np.testing.assert_allclose(volume.spacing_mm, (0.8, 0.8, 3), rtol=1e-6)
    np.testing.assert_allclose(volume.affine, AFFINE, rtol=1e-5)
    assert volume.notes == ()


@pytest.mark.parametrize("unit", [1, 3])
def test_a_unit_that_cannot_be_meant_is_passed_over(tmp_path: Path, unit: int) -> None:
    np.testing.assert_allclose(load_volume(ct_with(tmp_path / "ct.nii", xyzt_units=unit)).affine, AFFINE, rtol=1e-6)


def test_a_sform_of_zeros_gives_way_to_the_qform(tmp_path: Path) -> None:
    volume = mask_keeps_the_header(ct_with(tmp_path / "ct.nii", **ZEROS), tmp_path)
    np.testing.assert_allclose(volume.affine, AFFINE, rtol=1e-6)
    assert "qform was used" in volume.notes[0]
    assert volume.oriented


def test_a_sform_of_zeros_gives_way_to_the_voxel_size(tmp_path: Path) -> None:
    volume = mask_keeps_the_header(ct_with(tmp_path / "ct.nii", qform_code=0, **ZEROS), tmp_path)
    np.testing.assert_allclose(volume.spacing_mm, (0.8, 0.8, 3), rtol=1e-6)
    assert "voxel size was used" in volume.notes[0]
    assert not volume.oriented


def test_a_file_without_any_orientation_says_so(tmp_path: Path) -> None:
    assert not load_volume(ct_with(tmp_path / "ct.nii", qform_code=0, sform_code=0)).oriented


def test_an_identity_sform_gives_way_to_a_qform_of_the_right_size(tmp_path: Path) -> None:
    volume = mask_keeps_the_header(ct_with(tmp_path / "ct.nii", **IDENTITY), tmp_path)
    np.testing.assert_allclose(volume.affine, AFFINE, rtol=1e-6)
    assert "contradicts its voxel sizes" in volume.notes[0]
    without = load_volume(ct_with(tmp_path / "other.nii", qform_code=0, **IDENTITY))
    np.testing.assert_allclose(without.affine, np.eye(4))


@pytest.mark.parametrize(
    ("row", "differ"), [([-0.8, 0, 0, 7], True), ([0.8, 0, 0, 1], True), ([0.8001, 0, 0, 0.1], False)]
)
def test_a_qform_that_differs_is_told(tmp_path: Path, row: list[float], differ: bool) -> None:
    volume = mask_keeps_the_header(ct_with(tmp_path / "ct.nii", srow_x=row, sform_code=2), tmp_path)
    assert volume.affine[0, 0] == pytest.approx(abs(row[0]))
    assert ["viewers" in note for note in volume.notes] == [True] * differ


@pytest.mark.parametrize("qfac", [0, 1, -1, 0.5, np.nan])
def test_pixdim_0_of_zero_means_plus_one(tmp_path: Path, qfac: float) -> None:
    path = ct_with(tmp_path / "ct.nii", sform_code=0, pixdim=[qfac, 0.8, 0.8, 3, 0, 0, 0, 0])
    volume = mask_keeps_the_header(path, tmp_path)
    np.testing.assert_array_equal(volume.hu, HU[:, :, ::-1] if qfac == -1 else HU)


@pytest.mark.parametrize("length", [1.0000005, 1.0004])
def test_a_quaternion_a_little_too_long_is_taken_as_one(tmp_path: Path, length: float) -> None:
    path = ct_with(tmp_path / "ct.nii", sform_code=0, quatern_d=length)
    volume = mask_keeps_the_header(path, tmp_path)
    np.testing.assert_array_equal(volume.hu, HU[::-1, ::-1])  # half a turn about z


def test_the_tilted_gantry_of_a_sform_is_not_hidden_by_the_qform(tmp_path: Path) -> None:
    refused(ct_with(tmp_path / "ct.nii", srow_y=[0, 0.8, 0.7, 0]), "sheared")


@pytest.mark.parametrize(
    ("name", "spacing"),
    [("pixdim0_zero_qform_only", (2.6875, 2.6875, 5)), ("quaternion_1.0000005", (2.6875, 2.6875, 5))],
)
def test_files_of_bug_reports_open(cases_dir: Path, name: str, spacing: tuple[float, ...]) -> None:
    volume = load_volume(cases_dir / f"{name}.nii.gz")
    np.testing.assert_allclose(volume.spacing_mm, spacing, rtol=1e-4)
    assert volume.notes == ()
