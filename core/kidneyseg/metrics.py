"""How well a mask or a labelled cloud agrees with the truth: Dice, the KiTS19 and KiTS23 figures, point IoU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# KiTS23 scores nested classes: all of the kidney with its masses, all masses, tumour alone (labels 1 kidney, 2 tumour,
# 3 cyst) ...
KITS23_CLASSES = {"kidney_and_masses": (1, 2, 3), "masses": (2, 3), "tumour": (2,)}

# ... and calls a surface right within what two readers differ by, in mm.
KITS23_TOLERANCE_MM = {"kidney_and_masses": 1.0331, "masses": 1.1329, "tumour": 1.1498}

Window = tuple[slice, slice, slice]


def dice(pred: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Twice the overlap over the sum of both: 0 ... 1. Both empty is 1, one empty is 0.

    Any non-zero value counts as inside. Raises ValueError for different shapes.
    """
    _same_shape(pred, truth)
    a, b = pred != 0, truth != 0
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else 1.0


def kits19_dice(pred: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """KiTS19: Dice of the "kidney" (label > 0, so tumour included) and of the "tumour" (label > 1)."""
    pred, truth = _cropped(pred, truth)
    return {"kidney": dice(pred > 0, truth > 0), "tumour": dice(pred > 1, truth > 1)}


def kits23_dice(pred: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """KiTS23: Dice of each of KITS23_CLASSES; labels 1 kidney, 2 tumour, 3 cyst."""
    pred, truth = _cropped(pred, truth)
    return {name: dice(np.isin(pred, labels), np.isin(truth, labels)) for name, labels in KITS23_CLASSES.items()}


def kits23_surface_dice(
    pred: NDArray[np.uint8], truth: NDArray[np.uint8], spacing_mm: Sequence[float]
) -> dict[str, float]:
    """KiTS23: surface Dice of each of KITS23_CLASSES at its tolerance."""
    pred, truth = _cropped(pred, truth)
    return {
        name: surface_dice(np.isin(pred, labels), np.isin(truth, labels), spacing_mm, KITS23_TOLERANCE_MM[name])
        for name, labels in KITS23_CLASSES.items()
    }


def surface_dice(
    pred: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: Sequence[float], tolerance_mm: float
) -> float:
    """The share of both surfaces that lies within `tolerance_mm` of the other: 0 ... 1.

    After Nikolov et al., "Deep learning to achieve clinically applicable segmentation of head and neck anatomy". A
    surface element sits where eight voxels meet that are not all the same; its area is estimated here from how many
    faces between them it crosses along each axis, so figures differ from other tools by a few thousandths. The array's
    border is a surface where a mask reaches it. Both empty is 1, one empty is 0.
    """
    _same_shape(pred, truth)
    if not pred.any() or not truth.any():
        return float(not pred.any() and not truth.any())
    window = _window((pred != 0) | (truth != 0))
    area_pred, area_truth = (_surface_area(np.pad(mask[window] != 0, 1), spacing_mm) for mask in (pred, truth))
    outside = _area_beyond(area_pred, area_truth, spacing_mm, tolerance_mm)
    outside += _area_beyond(area_truth, area_pred, spacing_mm, tolerance_mm)
    return 1 - outside / float(area_pred.sum(dtype=np.float64) + area_truth.sum(dtype=np.float64))


def point_iou(pred: NDArray[np.integer], truth: NDArray[np.integer], classes: int) -> list[float]:
    """Intersection over union of each class 0 ... classes - 1 over pooled points, the paper's figure.

    Args:
        pred: (N,) labels, of all cases one after the other.
        truth: (N,) labels.
        classes: how many there are.

    Returns:
        One IoU per class; 1 for a class that neither holds.
    """
    _same_shape(pred, truth)
    table = np.bincount(truth.astype(np.int64) * classes + pred, minlength=classes * classes)
    table = table.reshape(classes, classes)
    both = np.diag(table)
    either = table.sum(axis=0) + table.sum(axis=1) - both
    return [float(i / u) if u else 1.0 for i, u in zip(both, either, strict=True)]


def _same_shape(pred: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    if pred.shape != truth.shape:
        raise ValueError(f"cannot compare {pred.shape} with {truth.shape}: the shapes must be the same")


def _cropped(pred: NDArray[np.uint8], truth: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both without what is background in both."""
    _same_shape(pred, truth)
    either = (pred != 0) | (truth != 0)
    if not either.any():
        return pred, truth
    window = _window(either)
    return pred[window], truth[window]


def _window(mask: NDArray[np.bool_]) -> Window:
    """The smallest box around a mask that is not empty."""
    found = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(i for i in range(3) if i != axis)))
        found.append(slice(int(used[0]), int(used[-1]) + 1))
    return found[0], found[1], found[2]


def _surface_area(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> NDArray[np.float32]:
    """Area of the surface element at each meeting point of eight voxels, 0 where they are all the same.

    Four edges along each axis join the eight voxels, and each that goes from inside to outside crosses a quarter of
    a face. The three sums are the element's extent seen along each axis; its area is their root of squares.
    """
    area = np.zeros(tuple(n - 1 for n in mask.shape), np.float32)
    for axis in range(3):
        crossed = np.diff(mask, axis=axis).astype(np.float32)
        for other in range(3):
            if other != axis:
                low, high = (np.take(crossed, range(a, crossed.shape[other] - 1 + a), axis=other) for a in (0, 1))
                crossed = low + high
        face = spacing_mm[0] * spacing_mm[1] * spacing_mm[2] / spacing_mm[axis]
        area += (crossed * (face / 4)) ** 2
    return np.sqrt(area)


def _area_beyond(
    area: NDArray[np.float32], other: NDArray[np.float32], spacing_mm: Sequence[float], tolerance_mm: float
) -> float:
    """How much of `area` lies farther than the tolerance from the other surface."""
    distance = ndimage.distance_transform_edt(other == 0, sampling=spacing_mm)
    return float(area[distance > tolerance_mm].sum(dtype=np.float64))
