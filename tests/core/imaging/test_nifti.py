"""A CT and its mask go in and out of NIfTI files and stay where they are in the patient."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kidneyseg.imaging.nifti import case_name, load_mask, load_volume, save_mask, save_volume
from kidneyseg.imaging.volume import Volume

SHAPE, SPACING = (11, 12, 9), (0.8, 0.9, 2.5)
ORIENTATIONS = ("RAS", "LAS", "LPS", "IPL", "PIR", "SAR", "ALI")


def patient_hu() -> np.ndarray:
    """HU that differ in every voxel, in canonical order."""
    return np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16) - 600


def rotation(degrees: float, axis: int = 2) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(3)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    turn[i, i], turn[i, j], turn[j, i], turn[j, j] = c, -s, s, c
    return turn


def image_in(axcodes: str, turn: np.ndarray | None = None) -> nib.Nifti1Image:
    """`patient_hu` as an image whose axes run as `axcodes` says, perhaps in a turned patient."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-31.0, 12.5, 400.25)
    if turn is not None:
        affine[:3, :3] = turn @ affine[:3, :3]
    image = nib.Nifti1Image(patient_hu(), affine)
    start, end = nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axcodes)
    return image.as_reoriented(nib.orientations.ornt_transform(start, end))


def written(image: Any, path: Path) -> Path:
    nib.save(image, path)
    return path


def world_points(image: Any, labels: np.ndarray) -> np.ndarray:
    """RAS mm of the labelled voxels, in a definite order."""
    index = np.argwhere(labels.reshape(labels.shape[:3]))
    points = nib.affines.apply_affine(image.affine, index)
    return points[np.lexsort(points.round(3).T)]


def some_mask(volume: Volume) -> np.ndarray:
    mask = np.zeros(volume.shape, np.uint8, order="F")
    mask[1:4, 2:9, 3:5] = 1
    mask[2, 5, 4:8] = 2
    return mask


def assert_lies_on(mask_path: Path, ct_path: Path, mask: np.ndarray, volume: Volume) -> None:
    """The mask file has the CT file's shape and placement, byte for byte, and marks the same places."""
    ct, saved = nib.load(ct_path), nib.load(mask_path)
    assert saved.shape == ct.shape
    assert saved.get_data_dtype() == np.uint8
    assert saved.affine.tobytes() == ct.affine.tobytes()
    for name in ("pixdim", "qform_code", "sform_code", "xyzt_units", "srow_x", "quatern_b", "qoffset_z", "dim"):
        assert saved.header[name].tobytes() == ct.header[name].tobytes(), name
    assert (saved.dataobj.slope, saved.dataobj.inter) == (1, 0)
    labels = np.asarray(saved.dataobj)
    for value in (1, 2):
        expected = nib.affines.apply_affine(volume.affine, np.argwhere(mask == value))
        expected = expected[np.lexsort(expected.round(3).T)]
        np.testing.assert_allclose(world_points(saved, labels == value), expected, atol=1e-4)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    "turn", [None, rotation(10), rotation(10, 0) @ rotation(-7, 1)], ids=["straight", "10", "oblique"]
)
@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_round_trip(tmp_path: Path, axcodes: str, turn: np.ndarray | None, suffix: str) -> None:
    path = written(image_in(axcodes, turn), tmp_path / f"ct{suffix}")
    volume = load_volume(path)
    np.testing.assert_array_equal(volume.hu, patient_hu())
    assert volume.hu.dtype == np.int16
    assert volume.hu.T.flags.c_contiguous
    assert nib.aff2axcodes(volume.affine) == ("R", "A", "S")
    np.testing.assert_allclose(volume.spacing_mm, SPACING, rtol=1e-6)
    assert volume.slice_axis == 2
    mask = some_mask(volume)
    save_mask(mask, volume, tmp_path / f"mask{suffix}")
    assert_lies_on(tmp_path / f"mask{suffix}", path, mask, volume)
    again, geometry = load_mask(tmp_path / f"mask{suffix}")
    np.testing.assert_array_equal(again, mask)
    assert again.T.flags.c_contiguous
    np.testing.assert_array_equal(geometry.affine, volume.affine)
    assert geometry.spacing_mm == volume.spacing_mm
    assert geometry.voxel_ml == pytest.approx(volume.voxel_ml)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    axes=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    degrees=st.floats(-40, 40),
    axis=st.integers(0, 2),
)
def test_any_orientation_is_undone(
    tmp_path: Path, axes: list[int], flips: tuple[int, ...], degrees: float, axis: int
) -> None:
    image = image_in("RAS", rotation(degrees, axis))
    image = image.as_reoriented(np.column_stack([axes, flips]))
    volume = load_volume(written(image, tmp_path / "ct.nii"))
    expected = nib.as_closest_canonical(image)
    np.testing.assert_array_equal(volume.hu, np.asarray(expected.dataobj))
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-4)
    mask = some_mask(volume)
    save_mask(mask, volume, tmp_path / "mask.nii")
    assert_lies_on(tmp_path / "mask.nii", tmp_path / "ct.nii", mask, volume)


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


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept"),
    [
        ("uint8", 5.0, -1020.0),
        ("uint8", 400 / 255, -125.0),
        ("int8", 4.0, 0.0),
        ("uint16", 1.0, -1024.0),
        ("int16", 1.0, 0.0),
        (">i2", 1.0, 0.0),
        ("int32", 0.5, 10.0),
        ("float32", 1.0, 0.0),
        ("float64", 1.0, 0.0),
        ("float32", 2.0, -3.0),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_stored_types(tmp_path: Path, dtype: str, slope: float, intercept: float, order: str) -> None:
    kind = np.dtype(dtype)
    raw = np.random.default_rng(3).uniform(0 if kind.kind == "u" else -100, 100, (20, 21, 22)).astype(kind, order=order)
    image = nib.Nifti1Image(
        raw, np.diag([1, 1, 2, 1.0]), nib.Nifti1Header(endianness="<" if kind.str[0] != ">" else ">")
    )
    image.header.set_data_dtype(kind)
    image.header.set_slope_inter(slope, intercept)
    path = written(image, tmp_path / "ct.nii.gz")
    expected = np.asarray(nib.load(path).dataobj, np.float64)
    volume = load_volume(path)
    np.testing.assert_array_equal(volume.hu, np.rint(expected))
    save_mask(some_mask(volume), volume, tmp_path / "mask.nii.gz")
    assert_lies_on(tmp_path / "mask.nii.gz", path, some_mask(volume), volume)


def test_slabs_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kidneyseg.imaging.nifti._SLAB_VOXELS", 250)
    path = written(image_in("IPL"), tmp_path / "ct.nii.gz")
    volume = load_volume(path)
    np.testing.assert_array_equal(volume.hu, patient_hu())
    save_mask(some_mask(volume), volume, tmp_path / "mask.nii.gz")
    assert_lies_on(tmp_path / "mask.nii.gz", path, some_mask(volume), volume)


def test_trailing_dimension_of_one_stays(tmp_path: Path) -> None:
    image = nib.Nifti1Image(patient_hu()[..., None], image_in("RAS").affine)
    path = written(image, tmp_path / "ct.nii.gz")
    volume = load_volume(path)
    assert volume.shape == SHAPE
    save_mask(some_mask(volume), volume, tmp_path / "mask.nii.gz")
    assert nib.load(tmp_path / "mask.nii.gz").shape == (*SHAPE, 1)
    assert_lies_on(tmp_path / "mask.nii.gz", path, some_mask(volume), volume)


def test_nifti2_and_header_extensions(tmp_path: Path) -> None:
    image = image_in("LAS")
    image = nib.Nifti2Image(np.asarray(image.dataobj), image.affine)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe " * 50))
    path = written(image, tmp_path / "ct.nii.gz")
    volume = load_volume(path)
    np.testing.assert_array_equal(volume.hu, patient_hu())
    save_mask(some_mask(volume), volume, tmp_path / "mask.nii")
    assert isinstance(nib.load(tmp_path / "mask.nii"), nib.Nifti2Image)
    assert_lies_on(tmp_path / "mask.nii", path, some_mask(volume), volume)
    assert b"Jane" not in (tmp_path / "mask.nii").read_bytes()


def test_mask_holds_no_text_of_the_patient(tmp_path: Path) -> None:
    image = image_in("RAS")
    for name in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[name] = b"Jane Doe"
    volume = load_volume(written(image, tmp_path / "ct.nii"))
    save_mask(some_mask(volume), volume, tmp_path / "mask.nii")
    assert b"Jane" not in (tmp_path / "mask.nii").read_bytes()
    save_mask(some_mask(volume), volume, tmp_path / "mask.nii.gz")
    assert b"mask" not in (tmp_path / "mask.nii.gz").read_bytes()[:40], "gzip would keep a file name"


def test_content_tells_gzip_not_the_name(tmp_path: Path) -> None:
    plain = written(image_in("RAS"), tmp_path / "ct.nii")
    packed = tmp_path / "renamed.nii"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(load_volume(packed).hu, patient_hu())


def test_gzip_in_several_members(tmp_path: Path) -> None:
    content = written(image_in("RAS"), tmp_path / "ct.nii").read_bytes()
    path = tmp_path / "members.nii.gz"
    path.write_bytes(b"".join(gzip.compress(content[i : i + 700]) for i in range(0, len(content), 700)))
    np.testing.assert_array_equal(load_volume(path).hu, patient_hu())


def test_same_mask_same_bytes(tmp_path: Path) -> None:
    volume = load_volume(written(image_in("IPL"), tmp_path / "ct.nii.gz"))
    for name in ("a.nii.gz", "b.nii.gz"):
        save_mask(some_mask(volume), volume, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


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
    assert load_volume(written(image, tmp_path / "ct.nii")).calibrated is calibrated


@pytest.mark.parametrize(
    ("zooms", "slice_dim", "axcodes", "expected"),
    [
        ((1.0, 1.0, 5.0), None, "RAS", 2),
        ((0.98, 0.98, 0.5), None, "RAS", 2),
        ((5.0, 0.8, 0.8), None, "IPL", 2),
        ((0.8, 3.0, 0.8), None, "RAS", 1),
        ((1.0, 1.0, 1.0), None, "RAS", 2),
        ((1.0, 1.0, 1.0), None, "IPL", 2),
        ((1.0, 1.0, 1.0), 0, "LPS", 0),
        ((0.81, 0.79, 5.0), None, "RAS", 2),
        ((0.81, 0.79, 0.85), None, "SPL", 2),
        ((0.8, 0.8, 5.0), None, "PIR", 0),
    ],
)
def test_slice_axis(
    tmp_path: Path, zooms: tuple[float, ...], slice_dim: int | None, axcodes: str, expected: int
) -> None:
    affine = np.eye(4)
    for column, (code, zoom) in enumerate(zip(axcodes, zooms, strict=True)):
        affine[:3, column] = zoom * np.array([(code == up) - (code == down) for up, down in ("RL", "AP", "SI")])
    image = nib.Nifti1Image(np.full((10, 10, 10), -500, np.int16), affine)
    image.header.set_dim_info(slice=slice_dim)
    assert load_volume(written(image, tmp_path / "ct.nii")).slice_axis == expected


def test_volume_made_in_memory(tmp_path: Path) -> None:
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (5, 6, 7)
    volume = Volume(hu=np.asfortranarray(patient_hu()), spacing_mm=SPACING, affine=affine)
    save_volume(volume, tmp_path / "ct.nii.gz")
    save_mask(some_mask(volume), volume, tmp_path / "mask.nii.gz")
    again = load_volume(tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(again.hu, volume.hu)
    np.testing.assert_allclose(again.affine, affine, rtol=1e-6)
    assert_lies_on(tmp_path / "mask.nii.gz", tmp_path / "ct.nii.gz", some_mask(volume), again)


def test_volume_keeps_its_files_order_when_saved(tmp_path: Path) -> None:
    path = written(image_in("IPL"), tmp_path / "ct.nii.gz")
    save_volume(load_volume(path), tmp_path / "copy.nii.gz")
    np.testing.assert_array_equal(nib.load(tmp_path / "copy.nii.gz").dataobj, nib.load(path).dataobj)


@pytest.mark.parametrize(
    ("name", "expected"), [("a.nii.gz", "a"), ("b.NII", "b"), ("c.d.nii", "c.d"), (".nii.gz", ".nii"), ("e", "e")]
)
def test_case_name(name: str, expected: str) -> None:
    assert case_name(Path("folder") / name) == expected


def test_real_ct(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "btcv" / "btcv0039_ct.nii.gz"
    volume, image = load_volume(path), nib.load(path)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    stored = np.asarray(image.dataobj.get_unscaled())
    some = (slice(None, None, 7), slice(None, None, 5))
    np.testing.assert_array_equal(volume.hu[some], np.rint(stored[some] * image.dataobj.slope + image.dataobj.inter))
    assert (volume.hu.min(), volume.hu.max()) == (-125, 275)
    assert volume.calibrated
    kidneys, geometry = load_mask(data_dir / "btcv" / "btcv0039_kidney.nii.gz")
    np.testing.assert_allclose(geometry.affine, volume.affine)
    save_mask(kidneys, volume, tmp_path / "mask.nii.gz")
    saved = nib.load(tmp_path / "mask.nii.gz")
    assert saved.affine.tobytes() == image.affine.tobytes()
    assert np.array_equal(saved.dataobj.get_unscaled(), kidneys)
