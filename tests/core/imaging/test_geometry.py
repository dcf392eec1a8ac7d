"""Files that hold no CT, or more than fits into file or memory; the slice axis."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.imaging import geometry
from kidneyseg.imaging.nifti import load_volume
from nifti_files import (
    HU,
    refused,
    saved,
    with_header,
    written,
)


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
    refused(path, "only 1 slice;" if min(shape) == 1 else f"only {min(shape)} slices;", "8")


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


def test_available_memory_is_plausible() -> None:
    found = geometry.available_memory()
    assert found is None or 1 << 24 < found < 1 << 50
