"""Agreement of a mask or a labelled point cloud with the truth: Dice, KiTS19 and KiTS23 scores, point IoU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Doubles, Floats, Labels, Mask, bounding_box

# KiTS23 scores nested classes (labels 1 kidney, 2 tumour, 3 cyst): kidney with its masses, all masses, tumour alone.
KITS23_CLASSES = {"kidney_and_masses": (1, 2, 3), "masses": (2, 3), "tumour": (2,)}

# KiTS23's surface tolerance of each class: how much two readers differ, in mm.
KITS23_TOLERANCE_MM = {"kidney_and_masses": 1.0331, "masses": 1.1329, "tumour": 1.1498}

_T = TypeVar("_T", bound=np.generic)


def crop_to_labels(pred: NDArray[_T], truth: NDArray[_T]) -> tuple[NDArray[_T], NDArray[_T]]:
    """Both arrays, (X, Y, Z), without the background around what is non-zero in either; both empty where nothing is.

    Raises ValueError for different shapes.
    """
    _same_shape(pred, truth)
    box = bounding_box((pred != 0) | (truth != 0))
    return (pred[:0], truth[:0]) if box is None else (pred[box], truth[box])


def dice(pred: Mask, truth: Mask) -> float:
    """Twice the overlap over the sum of both: 0 ... 1. Both empty is 1, one empty is 0.

    Any non-zero value counts as inside. Raises ValueError for different shapes.
    """
    _same_shape(pred, truth)
    a, b = pred != 0, truth != 0
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else 1.0


def kits19_dice(pred: Labels, truth: Labels) -> dict[str, float]:
    """KiTS19: Dice of the "kidney" (label > 0, so tumour included) and of the "tumour".

    KiTS19 has no label above 2 and counts cysts as kidney, so KiTS23's cysts (3) are kidney here and no tumour.
    """
    pred, truth = crop_to_labels(pred, truth)
    return {"kidney": dice(pred > 0, truth > 0), "tumour": dice(pred == 2, truth == 2)}


def kits23_dice(pred: Labels, truth: Labels) -> dict[str, float]:
    """KiTS23: Dice of each of KITS23_CLASSES; labels 1 kidney, 2 tumour, 3 cyst."""
    pred, truth = crop_to_labels(pred, truth)
    return {name: dice(np.isin(pred, labels), np.isin(truth, labels)) for name, labels in KITS23_CLASSES.items()}


def kits23_surface_dice(pred: Labels, truth: Labels, spacing_mm: Sequence[float]) -> dict[str, float]:
    """KiTS23: surface Dice of each of KITS23_CLASSES at its tolerance."""
    pred, truth = crop_to_labels(pred, truth)
    return {
        name: surface_dice(np.isin(pred, labels), np.isin(truth, labels), spacing_mm, KITS23_TOLERANCE_MM[name])
        for name, labels in KITS23_CLASSES.items()
    }


def surface_dice(pred: Mask, truth: Mask, spacing_mm: Sequence[float], tolerance_mm: float) -> float:
    """The share of both surfaces that lies within `tolerance_mm` of the other: 0 ... 1.

    After Nikolov et al., "Deep learning to achieve clinically applicable segmentation of head and neck anatomy". A
    surface element sits where eight voxels meet that are not all the same, with the area of the marching-cubes surface
    between them. The array's border is a surface where a mask reaches it. Both empty is 1, one empty is 0.
    """
    pred, truth = crop_to_labels(pred, truth)
    if not pred.any() or not truth.any():
        return float(not pred.any() and not truth.any())
    area_pred, area_truth = (_surface_area(np.pad(mask != 0, 1), spacing_mm) for mask in (pred, truth))
    outside = _area_beyond(area_pred, area_truth, spacing_mm, tolerance_mm)
    outside += _area_beyond(area_truth, area_pred, spacing_mm, tolerance_mm)
    return 1 - outside / float(area_pred.sum(dtype=np.float64) + area_truth.sum(dtype=np.float64))


def confusion(pred: NDArray[np.integer], truth: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """How many points of each true class (row) were given each class (column): int64 (classes, classes).

    Args:
        pred: (N,) labels 0 ... classes - 1.
        truth: (N,) labels 0 ... classes - 1.
        classes: how many there are.
    """
    _same_shape(pred, truth)
    table = np.bincount(truth.astype(np.int64) * classes + pred, minlength=classes * classes)
    return table.reshape(classes, classes).astype(np.int64)


def point_iou(table: NDArray[np.integer]) -> list[float]:
    """Intersection over union of each class, the paper's figure, from the `confusion` of all cases' points added up.

    Returns:
        One IoU per class; 1 for a class that neither holds.
    """
    both = np.diag(table)
    either = table.sum(axis=0) + table.sum(axis=1) - both
    return [float(i / u) if u else 1.0 for i, u in zip(both, either, strict=True)]


def _same_shape(pred: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    if pred.shape != truth.shape:
        raise ValueError(f"cannot compare {pred.shape} with {truth.shape}: the shapes must be the same")


def _surface_area(mask: Mask, spacing_mm: Sequence[float]) -> Floats:
    """Area in mm2 of the surface element at each meeting point of eight voxels, 0 where they are all the same."""
    code = np.zeros(tuple(n - 1 for n in mask.shape), np.uint8)
    for corner, offset in enumerate(product((0, 1), repeat=3)):
        part = mask[tuple(slice(o, o + n) for o, n in zip(offset, code.shape, strict=True))]
        code |= part.astype(np.uint8) << np.uint8(corner)
    x, y, z = (float(s) for s in spacing_mm)
    return _element_areas((x, y, z))[code]


@lru_cache(maxsize=4)
def _element_areas(spacing_mm: tuple[float, float, float]) -> Floats:
    """Area of the surface element for each of the 256 ways that eight voxels can lie inside or outside."""
    return np.array([_element_area(inside, np.array(spacing_mm)) for inside in range(256)], np.float32)


def _element_area(inside: int, spacing: Doubles) -> float:
    """Area of the surface that parts the corners of a cell which are in the bit set `inside` from the others.

    The surface crosses the edges of the cell half way (marching cubes); on a face that it crosses twice, inside
    corners are kept apart. Each closed line of crossings is filled from its centre.
    """
    corners = np.array(list(product((0, 1), repeat=3)))
    neighbours: dict[frozenset[int], list[frozenset[int]]] = {}
    for axis, side in product(range(3), (0, 1)):
        a, b, c, d = np.flatnonzero(corners[:, axis] == side).tolist()
        ring = (a, b, d, c)  # neighbours on the face
        cuts = [frozenset(edge) for edge in zip(ring, ring[1:] + ring[:1], strict=True)]
        cuts = [edge for edge in cuts if sum(inside >> corner & 1 for corner in edge) == 1]
        for corner in ring if len(cuts) == 4 else ():
            if inside >> corner & 1:
                one, two = (edge for edge in cuts if corner in edge)
                neighbours.setdefault(one, []).append(two)
                neighbours.setdefault(two, []).append(one)
        if len(cuts) == 2:
            neighbours.setdefault(cuts[0], []).append(cuts[1])
            neighbours.setdefault(cuts[1], []).append(cuts[0])
    area = 0.0
    while neighbours:
        line = [next(iter(neighbours))]
        while line[-1] in neighbours:
            onward = neighbours.pop(line[-1])
            line += [next((edge for edge in onward if edge in neighbours), line[0])]
        points = np.array([corners[list(edge)].mean(axis=0) for edge in line]) * spacing
        spokes = points - points[:-1].mean(axis=0)
        area += float(np.linalg.norm(np.cross(spokes[:-1], spokes[1:]), axis=1).sum()) / 2
    return area


def _area_beyond(area: Floats, other: Floats, spacing_mm: Sequence[float], tolerance_mm: float) -> float:
    """How much of `area` lies farther than the tolerance from the other surface."""
    distance = ndimage.distance_transform_edt(other == 0, sampling=spacing_mm)
    return float(area[distance > tolerance_mm].sum(dtype=np.float64))
