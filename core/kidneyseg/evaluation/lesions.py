"""Lesion detection: which true tumours were detected, and which predicted tumours are false positives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import Labels, Mask
from kidneyseg.findings import LEAST_TUMOUR_ML
from kidneyseg.imaging.labels import TUMOUR

# A true lesion is detected when at least this share of its voxels was labelled tumour.
DETECTION_SHARE = 0.1

# Size classes of lesions, in mL: balls of 12, 20 and 40 mm. 40 mm is where stage T1a ends.
SIZE_BOUNDS_ML = (1.0, 4.0, 33.5)

# The program lists no smaller tumour, so nobody sees a smaller false one. Of 357 connected tumours in 300 KiTS23 label
# maps 26 are smaller and the next larger one has 0.085 mL: the smaller ones are stray voxels, not lesions, so the same
# bound holds for true tumours.
LEAST_LESION_ML = LEAST_TUMOUR_ML

_CONNECTIVITY = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class LesionScore:
    """A connected true tumour: its volume in mL, and the share (0 ... 1) of its voxels that was labelled tumour."""

    ml: float
    overlap: float

    @property
    def detected(self) -> bool:
        """Whether the overlap reaches DETECTION_SHARE."""
        return self.overlap >= DETECTION_SHARE


def score_lesions(pred: Labels, truth: Labels, voxel_ml: float) -> tuple[tuple[LesionScore, ...], tuple[float, ...]]:
    """Score every lesion of a case; only label 2, tumour, counts.

    Voxels that share a corner are connected. Components under LEAST_LESION_ML count neither as lesions nor as false
    positives, but a predicted component that touches a true one of any size is no false positive. One predicted
    component may detect several lesions.

    Args:
        pred: uint8 (X, Y, Z).
        truth: uint8 (X, Y, Z).
        voxel_ml: volume of a voxel.

    Returns:
        The true lesions, and the mL of each connected predicted tumour that overlaps no true tumour; largest first.
    """
    lesions = [
        LesionScore(float(size * voxel_ml), float(overlap / size))
        for size, overlap in _components(truth == TUMOUR, pred == TUMOUR)
        if size * voxel_ml >= LEAST_LESION_ML
    ]
    false_positives = [
        float(size * voxel_ml)
        for size, overlap in _components(pred == TUMOUR, truth == TUMOUR)
        if overlap == 0 and size * voxel_ml >= LEAST_LESION_ML
    ]
    return tuple(sorted(lesions, key=lambda one: -one.ml)), tuple(sorted(false_positives, reverse=True))


def _components(mask: Mask, other: Mask) -> list[tuple[int, int]]:
    """For each connected component of `mask`, its voxels and how many of them lie in `other`."""
    labels, count = ndimage.label(mask, _CONNECTIVITY)
    sizes = np.bincount(labels[mask], minlength=count + 1)[1:]
    overlaps = np.bincount(labels[mask & other], minlength=count + 1)[1:]
    return list(zip(sizes.tolist(), overlaps.tolist(), strict=True))
