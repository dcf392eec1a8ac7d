"""Labelled CTs on disk as KiTS distributes them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import Volume


def save_kits_case(
    folder: Path, volume: Volume, labels: NDArray[np.uint8] | None, *, dtype: type = np.int16, qform_only: bool = False
) -> None:
    """Write `imaging.nii.gz` and, where there are labels, `segmentation.nii.gz` into a case's folder.

    KiTS' arrays run (slices, rows, columns) towards inferior, posterior, left. Its CTs are of several types, and some
    of its label maps have a qform only.

    Args:
        folder: the case's, which is made.
        volume: the CT, with spacing along its axes.
        labels: uint8 (X, Y, Z), also of another shape; None leaves them out.
        dtype: of the CT's values.
        qform_only: whether the label map has no sform.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "imaging.nii.gz", volume.hu.astype(dtype), volume)
    if labels is not None:
        _save(folder / "segmentation.nii.gz", labels, volume, qform_only=qform_only)


def _save(path: Path, array: NDArray[np.generic], volume: Volume, *, qform_only: bool = False) -> None:
    x, y, z = array.shape
    to_ours = np.array([[0, 0, -1, x - 1], [0, -1, 0, y - 1], [-1, 0, 0, z - 1], [0, 0, 0, 1]])
    turned = np.ascontiguousarray(array[::-1, ::-1, ::-1].transpose(2, 1, 0))
    image = nib.Nifti1Image(turned, volume.affine @ to_ours)
    assert nib.aff2axcodes(image.affine) == ("I", "P", "L")
    if qform_only:
        image.set_qform(image.affine, 1)
        image.set_sform(None, 0)
    nib.save(image, path)
