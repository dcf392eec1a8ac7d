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

HU = (np.arange(10 * 11 * 12).reshape(10, 11, 12) - 500).astype(np.int16)


def saved(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(voxels, np.diag([0.8, 0.8, 3, 1]) if affine is None else affine), path)
    return path


def with_header(path: Path, **fields: Any) -> Path:
    """A good file whose header was then changed in place."""
    image = nib.Nifti1Image(HU, np.diag([0.8, 0.8, 3, 1]))
    nib.save(image, path)
    with open(path, "rb") as file:
        header = nib.Nifti1Header.from_fileobj(file)
    for name, value in fields.items():
        header[name] = value
    content = bytearray(path.read_bytes())
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
