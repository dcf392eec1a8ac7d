"""How much of a tumour's surface touches kidney."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Box
from kidneyseg.imaging.labels import KIDNEY


def kidney_contact(own: NDArray[np.bool_], labels: NDArray[np.uint8], box: Box, spacing_mm: Sequence[float]) -> float:
    """The share of an object's surface, by area of voxel faces, that touches kidney.

    Args:
        own: bool (X, Y, Z), the object in its box, not empty.
        labels: uint8, the labels around it; beyond them there is background.
        box: the object's box in `labels`.
        spacing_mm: voxel edges along x, y, z.
    """
    around = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    kidney = labels[around] == KIDNEY
    inside = np.zeros(kidney.shape, np.bool_)
    inside[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, around, strict=True))] = own
    touching = surface = 0.0
    for axis in range(3):
        face_mm2 = float(np.prod(np.delete(spacing_mm, axis)))
        one, two, kidney_one, kidney_two = (
            np.moveaxis(values, axis, 0)[part] for values in (inside, kidney) for part in (slice(-1), slice(1, None))
        )
        touching += face_mm2 * (np.count_nonzero(one & kidney_two) + np.count_nonzero(two & kidney_one))
        # Each run of voxels has two faces, of which the last one may be the end of the array.
        starts = np.count_nonzero(two & ~one) + np.count_nonzero(np.moveaxis(inside, axis, 0)[0])
        surface += face_mm2 * 2 * starts
    return float(touching / surface)
