"""NIfTI files for tests, good ones and spoilt ones."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.imaging.volume import Volume

SHAPE, SPACING = (11, 12, 9), (0.8, 0.9, 2.5)
HU = (np.arange(10 * 11 * 12).reshape(10, 11, 12) - 500).astype(np.int16)


def saved(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(voxels, np.diag([0.8, 0.8, 3, 1]) if affine is None else affine), path)
    return path


def with_header(path: Path, **fields: Any) -> Path:
    """A good file whose header was then changed in place."""
    return with_fields(saved(path, HU), **fields)


def with_fields(path: Path, **fields: Any) -> Path:
    """The NIfTI-1 file, not packed, with fields of its header changed in place."""
    content = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


@contextmanager
def as_a_user_without_rights() -> Iterator[Path]:
    """A folder that everybody may use, and no root rights while it is in use: root may read and write anything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)


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


def body_hu(noise: float = 10.0) -> np.ndarray[Any, Any]:
    """HU of a round body in air, fat around soft tissue around a little bone: int16 (64, 56, 20)."""
    x, y, z = np.ogrid[:64, :56, :20]
    radius = np.hypot((x - 32) / 24, (y - 28) / 20) + 0 * z
    hu = np.select([radius < 0.15, radius < 0.75, radius < 1], [400.0, 50.0, -105.0], -1000.0)
    return np.rint(hu + np.random.default_rng(0).normal(0, noise, hu.shape)).astype(np.int16)
