"""Files that are missing, cut off or damaged: one clear sentence each."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.imaging.nifti import load_volume
from nifti_files import (
    HU,
    as_a_user_without_rights,
    image_in,
    patient_hu,
    refused,
    saved,
    written,
)


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


def test_endless_gzip_is_not_followed(tmp_path: Path) -> None:
    path = saved(tmp_path / "ct.nii", HU)
    bomb = tmp_path / "bomb.nii.gz"
    bomb.write_bytes(gzip.compress(path.read_bytes()) + gzip.compress(bytes(64 << 20)))
    np.testing.assert_array_equal(load_volume(bomb).hu, HU)


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
