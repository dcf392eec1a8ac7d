"""Files that are no CT: one clear sentence each."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.imaging import geometry
from kidneyseg.imaging.nifti import load_mask, load_volume
from nifti_files import HU, as_a_user_without_rights, saved, with_header


def refused(path: Path, *words: str) -> str:
    """Loading `path` as CT and as mask is refused, with these words in a message of a sentence or two."""
    for load in (load_mask, load_volume):
        with pytest.raises(InputError) as caught:
            load(path)
    message = str(caught.value)
    assert len(message) < 250
    assert message.endswith(".")
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"hello world" * 100,
        b"\0" * 4096,
        b"\0" * 128 + b"DICM" + b"\0" * 4000,
        b"\x5c\x01\0\0" + b"\0" * 4000,
    ],
    ids=["empty", "one byte", "text", "zeros", "dicom", "nothing but the size field"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_not_a_nifti(tmp_path: Path, content: bytes, packed: bool) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(content) if packed else content)
    refused(path, "scan.nii.gz", "not a NIfTI")


def test_header_image_pair(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(HU, np.eye(4)), tmp_path / "scan.img")
    refused(tmp_path / "scan.hdr", "pair", "Convert")


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.nii", "no file", "nowhere.nii")
    refused(saved(tmp_path / "ct.nii", HU) / "below.nii", "no file")


def test_directory_and_pipe(tmp_path: Path) -> None:
    (tmp_path / "series.nii.gz").mkdir()
    refused(tmp_path / "series.nii.gz", "folder")
    os.mkfifo(tmp_path / "pipe.nii")
    refused(tmp_path / "pipe.nii", "not a file")


def test_name_with_null_byte() -> None:
    refused(Path("a\0b.nii"), "cannot be opened")


def test_no_read_permission() -> None:
    with as_a_user_without_rights() as folder:
        path = saved(folder / "secret.nii", HU)
        path.chmod(0)
        refused(path, "secret.nii", "may not be read")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_cut_off(tmp_path: Path, suffix: str, share: float) -> None:
    path = saved(tmp_path / f"ct{suffix}", np.random.default_rng(0).integers(-500, 500, (40, 40, 20)).astype(np.int16))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "ct")


def test_gzip_without_its_checksum(tmp_path: Path) -> None:
    path = saved(tmp_path / "ct.nii.gz", HU)
    path.write_bytes(path.read_bytes()[:-4])
    refused(path, "cut off")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_corrupt_gzip(tmp_path: Path, place: float) -> None:
    path = saved(tmp_path / "ct.nii.gz", np.random.default_rng(0).integers(-500, 500, (40, 40, 20)).astype(np.int16))
    content = bytearray(path.read_bytes())
    start = int(len(content) * place)
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    refused(path, "damaged", "Copy it again")


def test_one_wrong_byte_never_gives_other_voxels(tmp_path: Path) -> None:
    path = saved(tmp_path / "ct.nii.gz", HU)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            read = load_volume(path).hu
        except InputError:
            continue
        np.testing.assert_array_equal(read, HU)  # a byte of gzip's header that says nothing of the content


def test_wrong_gzip_checksum(tmp_path: Path) -> None:
    path = saved(tmp_path / "ct.nii.gz", HU)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    refused(path, "damaged")


def test_several_volumes(tmp_path: Path) -> None:
    refused(saved(tmp_path / "ct.nii", np.zeros((10, 10, 10, 3), np.int16)), "3 volumes", "Save one")
    refused(saved(tmp_path / "ct.nii", np.zeros((10, 10, 10, 1, 2), np.int16)), "2 volumes")


def test_flat_image(tmp_path: Path) -> None:
    refused(with_header(tmp_path / "ct.nii", dim=[2, 10, 132, 1, 1, 1, 1, 1]), "2-D")


@pytest.mark.parametrize("channels", ["RGB", "RGBA"])
def test_colour(tmp_path: Path, channels: str) -> None:
    colour = np.zeros((10, 10, 10), [(c, "u1") for c in channels])
    refused(saved(tmp_path / "ct.nii.gz", colour), "colour")


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex(tmp_path: Path, dtype: type) -> None:
    refused(saved(tmp_path / "ct.nii.gz", HU.astype(dtype)), "complex")


def test_unknown_type(tmp_path: Path) -> None:
    refused(with_header(tmp_path / "ct.nii", datatype=77), "voxel type")
    refused(with_header(tmp_path / "ct.nii", datatype=1), "type")


@pytest.mark.parametrize(
    ("shape", "spacing"), [((20, 20, 7), (1, 1, 3)), ((7, 20, 20), (3, 1, 1)), ((20, 20, 1), (1, 1, 1))]
)
def test_few_slices(tmp_path: Path, shape: tuple[int, ...], spacing: tuple[int, ...]) -> None:
    path = saved(tmp_path / "ct.nii", np.zeros(shape, np.int16), np.diag([*spacing, 1]))
    refused(path, f"{min(shape)} slices", "8")


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


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number(tmp_path: Path, bad: float) -> None:
    voxels = HU.astype(np.float32)
    voxels[3, 4, 5] = bad
    refused(saved(tmp_path / "ct.nii.gz", voxels), "NaN or infinite")


@pytest.mark.parametrize("value", [40000.0, -33000.0, 1e30])
def test_beyond_int16(tmp_path: Path, value: float) -> None:
    voxels = np.zeros(HU.shape, np.float32)
    voxels[3, 4, 5] = value
    refused(saved(tmp_path / "ct.nii.gz", voxels), f"{value:g}")


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


@pytest.mark.parametrize("dim", [[3, 10, 11, -5, 1, 1, 1, 1], [3, 10, 0, 12, 1, 1, 1, 1], [9, 10, 11, 12, 1, 1, 1, 1]])
def test_damaged_dimensions(tmp_path: Path, dim: list[int]) -> None:
    refused(with_header(tmp_path / "ct.nii", dim=dim), "damaged")


@pytest.mark.parametrize("offset", [100.0, -8.0, np.nan, 1e30])
def test_damaged_offset(tmp_path: Path, offset: float) -> None:
    refused(with_header(tmp_path / "ct.nii", vox_offset=offset), "damaged")


def test_offset_of_zero_means_right_after_the_header(tmp_path: Path) -> None:
    np.testing.assert_array_equal(load_volume(with_header(tmp_path / "ct.nii", vox_offset=0)).hu, HU)


class TestMoreIsPromisedThanThereIs:
    """Checked before anything is read: reading and reserving memory are forbidden here."""

    @pytest.fixture(autouse=True)
    def nothing_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def read(*_: object) -> None:
            raise AssertionError("the voxels were read")

        monkeypatch.setattr("kidneyseg.imaging.streams.InputStream.read", read)
        monkeypatch.setattr("kidneyseg.imaging.nifti.np.empty", read)

    def test_than_the_file_holds(self, tmp_path: Path) -> None:
        path = with_header(tmp_path / "ct.nii", dim=[3, 10, 11, 13, 1, 1, 1, 1])
        refused(path, "promises", "cut off")

    def test_than_gzip_can_hold(self, tmp_path: Path) -> None:
        plain = with_header(tmp_path / "ct.nii", dim=[3, 2000, 2000, 500, 1, 1, 1, 1])
        packed = tmp_path / "packed.nii.gz"
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        refused(packed, "promises", "4.0 GB")

    def test_than_memory_holds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(geometry, "available_memory", lambda: 5000)
        refused(saved(tmp_path / "ct.nii", HU), "memory", "5,000 bytes")

    def test_than_memory_could_hold_where_its_size_is_unknown(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(geometry, "available_memory", lambda: None)
        path = with_header(tmp_path / "ct.nii", dim=[3, 2000, 2000, 2000, 1, 1, 1, 1])
        with open(path, "r+b") as file:
            file.truncate(352 + 2 * 2000**3)  # a file with holes: no disk space is taken
        refused(path, "memory")


def test_memory_that_runs_out_after_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(*_: object, **__: object) -> None:
        raise MemoryError

    path = saved(tmp_path / "ct.nii", HU)
    monkeypatch.setattr("kidneyseg.imaging.nifti.np.empty", empty)
    refused(path, "memory")


def test_available_memory_is_plausible() -> None:
    found = geometry.available_memory()
    assert found is None or 1 << 24 < found < 1 << 50


def test_endless_gzip_is_not_followed(tmp_path: Path) -> None:
    path = saved(tmp_path / "ct.nii", HU)
    bomb = tmp_path / "bomb.nii.gz"
    bomb.write_bytes(gzip.compress(path.read_bytes()) + gzip.compress(bytes(64 << 20)))
    np.testing.assert_array_equal(load_volume(bomb).hu, HU)


def test_labels_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="labels"):
        load_mask(saved(tmp_path / "mask.nii", HU))
