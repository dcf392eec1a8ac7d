"""Lesions: which true tumours were detected, which predicted ones are false, and what true cysts were called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import HU, Labels, Mask
from kidneyseg.findings import LEAST_TUMOUR_ML
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR

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
    """A connected true tumour."""

    ml: float  #: its volume
    overlap: float  #: the share (0 ... 1) of its voxels that was labelled tumour
    contrast_hu: float | None = None  #: its median HU less that of the true kidneys; None without a CT

    @property
    def detected(self) -> bool:
        """Whether the overlap reaches DETECTION_SHARE."""
        return self.overlap >= DETECTION_SHARE


@dataclass(frozen=True)
class CystScore:
    """A connected true cyst."""

    ml: float  #: its volume
    tumour_share: float  #: the share (0 ... 1) of its voxels that was labelled tumour
    cyst_share: float  #: the share that was labelled cyst

    @property
    def called_tumour(self) -> bool:
        """Whether it counts as a tumour for whoever reads the mask: as much of it as of a detected lesion."""
        return self.tumour_share >= DETECTION_SHARE

    @property
    def found(self) -> bool:
        """Whether it was labelled cyst as a detected lesion is labelled tumour."""
        return self.cyst_share >= DETECTION_SHARE


def score_cysts(pred: Labels, truth: Labels, voxel_ml: float) -> tuple[CystScore, ...]:
    """The true cysts of a case, largest first, connected and from LEAST_LESION_ML on as lesions are.

    Args:
        pred: uint8 (X, Y, Z).
        truth: uint8 (X, Y, Z).
        voxel_ml: volume of a voxel.
    """
    both = zip(*(_components(truth == CYST, pred == label) for label in (TUMOUR, CYST)), strict=True)
    cysts = [
        CystScore(float(size * voxel_ml), tumour / size, cyst / size) for (size, tumour, _, _), (_, cyst, _, _) in both
    ]
    return tuple(sorted((one for one in cysts if one.ml >= LEAST_LESION_ML), key=lambda one: -one.ml))


def score_lesions(
    pred: Labels, truth: Labels, voxel_ml: float, hu: HU | None = None
) -> tuple[tuple[LesionScore, ...], tuple[float, ...]]:
    """Score every lesion of a case; only label 2, tumour, counts.

    Voxels that share a corner are connected. Components under LEAST_LESION_ML count neither as lesions nor as false
    positives, but a predicted component that touches a true one of any size is no false positive. One predicted
    component may detect several lesions.

    Args:
        pred: uint8 (X, Y, Z).
        truth: uint8 (X, Y, Z).
        voxel_ml: volume of a voxel.
        hu: int16 (X, Y, Z), the CT, for the contrast of the lesions.

    Returns:
        The true lesions, and the mL of each connected predicted tumour that overlaps no true tumour; largest first.
    """
    kidney = np.zeros(0, np.int16) if hu is None else hu[truth == KIDNEY]
    level = float(np.median(kidney)) if len(kidney) else None
    lesions = [
        LesionScore(
            float(size * voxel_ml),
            float(overlap / size),
            None if hu is None or level is None else float(np.median(hu[box][where])) - level,
        )
        for size, overlap, box, where in _components(truth == TUMOUR, pred == TUMOUR)
        if size * voxel_ml >= LEAST_LESION_ML
    ]
    false_positives = [
        float(size * voxel_ml)
        for size, overlap, _, _ in _components(pred == TUMOUR, truth == TUMOUR)
        if overlap == 0 and size * voxel_ml >= LEAST_LESION_ML
    ]
    return tuple(sorted(lesions, key=lambda one: -one.ml)), tuple(sorted(false_positives, reverse=True))


def _components(mask: Mask, other: Mask) -> list[tuple[int, int, tuple[slice, ...], Mask]]:
    """For each connected component of `mask`: its voxels, how many lie in `other`, its box and its mask in that."""
    labels, count = ndimage.label(mask, _CONNECTIVITY)
    if not count:
        return []
    sizes = np.bincount(labels[mask], minlength=count + 1)[1:]
    overlaps = np.bincount(labels[mask & other], minlength=count + 1)[1:]
    boxes = ndimage.find_objects(labels)
    return [
        (int(size), int(overlap), box, labels[box] == number)
        for number, (size, overlap, box) in enumerate(zip(sizes, overlaps, boxes, strict=True), start=1)
    ]
