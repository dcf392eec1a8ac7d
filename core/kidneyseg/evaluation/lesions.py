"""Lesion detection: which true tumours were found, and what was called a tumour and is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.findings import LEAST_TUMOUR_ML

# A true lesion is found when at least this share of its voxels was called tumour.
FOUND_SHARE = 0.1

# Size classes of lesions, in mL: balls of 12, 20 and 40 mm. 40 mm is where stage T1a ends.
SIZE_BOUNDS_ML = (1.0, 4.0, 33.5)

# The program lists no tumour below this, so a smaller false one is not reported to anybody. Of 357 connected tumours in
# 300 KiTS23 label maps 26 lie below it and the next larger one holds 0.085 mL: below are stray voxels, not lesions, so
# the same floor holds for true ones.
LEAST_LESION_ML = LEAST_TUMOUR_ML

_TUMOUR = 2
_NEIGHBOURS = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class Lesion:
    """A connected true tumour: its volume in mL, and which share (0 ... 1) of its voxels was called tumour."""

    ml: float
    hit: float

    @property
    def found(self) -> bool:
        """Whether at least a tenth was called tumour."""
        return self.hit >= FOUND_SHARE


def detect(
    pred: NDArray[np.uint8], truth: NDArray[np.uint8], voxel_ml: float
) -> tuple[tuple[Lesion, ...], tuple[float, ...]]:
    """Score every lesion of a case; label 2 is tumour, all other labels are none.

    Voxels that share a corner are connected. Pieces under LEAST_LESION_ML count neither as lesions nor as false
    positives, but a predicted piece that touches a true one of any size is no false positive. One predicted piece may
    find several lesions.

    Args:
        pred: uint8 (X, Y, Z).
        truth: uint8 (X, Y, Z).
        voxel_ml: volume of a voxel.

    Returns:
        The true lesions, and the mL of each connected predicted tumour that overlaps no true tumour; largest first.
    """
    lesions = [
        Lesion(float(size * voxel_ml), float(hit / size))
        for size, hit in _pieces(truth == _TUMOUR, pred == _TUMOUR)
        if size * voxel_ml >= LEAST_LESION_ML
    ]
    false = [
        float(size * voxel_ml)
        for size, hit in _pieces(pred == _TUMOUR, truth == _TUMOUR)
        if hit == 0 and size * voxel_ml >= LEAST_LESION_ML
    ]
    return tuple(sorted(lesions, key=lambda one: -one.ml)), tuple(sorted(false, reverse=True))


def _pieces(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """For each connected piece of `mask`, its voxels and how many of them lie in `other`."""
    labels, count = ndimage.label(mask, _NEIGHBOURS)
    sizes = np.bincount(labels[mask], minlength=count + 1)[1:]
    hits = np.bincount(labels[mask & other], minlength=count + 1)[1:]
    return list(zip(sizes.tolist(), hits.tolist(), strict=True))
