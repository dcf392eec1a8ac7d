"""What is no NIfTI file, and .hdr/.img pairs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.imaging.nifti import load_mask, load_volume, save_mask
from nifti_files import HU, refused, with_fields


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


@pytest.mark.parametrize("suffixes", [("hdr", "img"), ("hdr.gz", "img.gz"), ("hdr", "img.gz"), ("HDR", "IMG")])
@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Nifti2Pair])
def test_either_half_of_a_pair_opens(tmp_path: Path, suffixes: tuple[str, str], kind: Any) -> None:
    nib.save(kind(HU, np.diag([0.8, 0.8, 3, 1])), tmp_path / "plain.img")
    for plain, suffix in zip(("hdr", "img"), suffixes, strict=True):
        content = (tmp_path / f"plain.{plain}").read_bytes()
        (tmp_path / f"scan.{suffix}").write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    for suffix in suffixes:
        volume = load_volume(tmp_path / f"scan.{suffix}")
        np.testing.assert_array_equal(volume.hu, HU)
        assert volume.name == "scan"
        save_mask(np.asarray(HU > 0), volume, tmp_path / "mask.nii.gz")
        np.testing.assert_array_equal(load_mask(tmp_path / "mask.nii.gz")[0], HU > 0)
        assert nib.load(tmp_path / "mask.nii.gz").shape == HU.shape


def test_voxels_of_a_pair_may_begin_later(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(HU, np.eye(4)), tmp_path / "scan.hdr")
    with_fields(tmp_path / "scan.hdr", vox_offset=16)
    (tmp_path / "scan.img").write_bytes(bytes(16) + (tmp_path / "scan.img").read_bytes())
    np.testing.assert_array_equal(load_volume(tmp_path / "scan.img").hu, HU)


@pytest.mark.parametrize(("half", "other"), [("hdr", "img"), ("img", "hdr")])
def test_half_of_a_pair_says_what_is_missing(tmp_path: Path, half: str, other: str) -> None:
    nib.save(nib.Nifti1Pair(HU, np.eye(4)), tmp_path / "scan.img")
    (tmp_path / f"scan.{other}").unlink()
    refused(tmp_path / f"scan.{half}", f"scan.{half}", f"scan.{other} is missing")
    refused(tmp_path / "nowhere.img", "no file")


def test_a_short_image_of_a_pair_is_cut_off(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(HU, np.eye(4)), tmp_path / "scan.img")
    (tmp_path / "scan.img").write_bytes((tmp_path / "scan.img").read_bytes()[:-2])
    refused(tmp_path / "scan.hdr", "scan.img is cut off")
