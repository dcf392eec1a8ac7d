"""A CT and its mask go in and out of NIfTI files and stay where they are in the patient."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kidneyseg.errors import InputError
from kidneyseg.imaging.nifti import case_name, load_mask, load_volume, save_mask, save_volume
from kidneyseg.imaging.volume import Volume
from nifti_files import (
    HU,
    SHAPE,
    SPACING,
    assert_lies_on,
    image_in,
    patient_hu,
    refused,
    rotation,
    saved,
    some_mask,
    with_header,
    written,
)

ORIENTATIONS = ("RAS", "LAS", "LPS", "IPL", "PIR", "SAR", "ALI")


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
    assert volume.geometry.file_orientation == axcodes
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


def test_same_mask_same_bytes(tmp_path: Path) -> None:
    volume = load_volume(written(image_in("IPL"), tmp_path / "ct.nii.gz"))
    for name in ("a.nii.gz", "b.nii.gz"):
        save_mask(some_mask(volume), volume, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


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


def test_float_is_rounded(tmp_path: Path) -> None:
    voxels = np.linspace(-700.4, 700.6, HU.size, dtype=np.float32).reshape(HU.shape)
    np.testing.assert_array_equal(load_volume(saved(tmp_path / "ct.nii", voxels)).hu, np.rint(voxels))


def test_scaled_beyond_int16(tmp_path: Path) -> None:
    path = with_header(tmp_path / "ct.nii", scl_slope=1e4, scl_inter=0)
    refused(path, "outside")
    refused(with_header(tmp_path / "ct.nii", scl_slope=1, scl_inter=np.nan), "intercept")


def test_slope_of_zero_or_nan_means_none(tmp_path: Path) -> None:
    for slope in (0, np.nan):
        path = with_header(tmp_path / "ct.nii", scl_slope=slope, scl_inter=5)
        np.testing.assert_array_equal(load_volume(path).hu, HU)


def test_memory_that_runs_out_after_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(*_: object, **__: object) -> None:
        raise MemoryError

    path = saved(tmp_path / "ct.nii", HU)
    monkeypatch.setattr("kidneyseg.imaging.nifti.np.empty", empty)
    refused(path, "memory")


def test_labels_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="labels"):
        load_mask(saved(tmp_path / "mask.nii", HU))


@pytest.mark.parametrize(("value", "label"), [(2.0, 2), (1.9999, 2), (0.5, None), (0.9, None)])
def test_a_mask_holds_whole_numbers(tmp_path: Path, value: float, label: int | None) -> None:
    values = np.zeros(SHAPE, np.float32)
    values[1, 2, 3] = value
    path = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(values, np.diag([*SPACING, 1.0])), path)
    if label is None:
        with pytest.raises(InputError, match=f"values between labels, such as {value}.*whole numbers"):
            load_mask(path)
    else:
        assert load_mask(path)[0].max() == label
