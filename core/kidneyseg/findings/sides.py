"""The patient's midline, located by the spine, or the reason why left and right are unknown."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Box
from kidneyseg.imaging.volume import HU_WINDOW, Volume
from kidneyseg.points.objects import SHRUNKEN_KIDNEY_ML

# The spine is searched on a grid of about this spacing in plane and between slices.
_STEP_MM, _SLICE_MM = 2.0, 4.0
# Bone; within HU_WINDOW, to which some CTs are clipped.
_BONE_HU = 220
_SPINE_WIDTH_MM = 50.0
# Area of bone within the width of a spine: the mean over slices, and the least in this share of slices. 14 CTs have a
# mean of 6.4 to 18.4 cm² and at least 3.8 cm² in every slice; elsewhere they have 1.9 cm² at most.
_LEAST_BONE_CM2, _LEAST_IN_SLICE_CM2, _SHARE_OF_SLICES = 4.0, 1.5, 0.9
# Kidneys extend about this far from the spine; where the volume's edge cuts the body closer, one may be missing.
_FLANK_MM = 80.0
# A body that ends this close to the spine was cut, even if air was added beside it.
_LEAST_FLANK_MM = 40.0
# The centres of two kidneys are farther apart along x than this; parts of one kidney are not.
_KIDNEYS_APART_MM = 60.0

NO_SPINE = "no spine is seen"
CUT = "the image shows only one side of the body"
NOT_ORIENTED = "the file does not say how the patient lies"


class Midline(NamedTuple):
    """Its position in mm along x from the volume's corner, if known; why sides are unknown, "" if they are known."""

    mm: float | None
    unknown: str


def find_midline(
    mask: NDArray[np.uint8],
    volume: Volume,
    box: Box,
    component_ml: NDArray[np.float64],
    centres_mm: NDArray[np.float64],
) -> Midline:
    """The patient's midline at the height of the kidneys.

    It is the centre of the spine. Where the image shows no spine, only one side of the body, or two kidneys on one side
    of the spine (scoliosis), it is half way between two distant kidneys; without these, sides are unknown.

    Args:
        mask: uint8 (X, Y, Z), not 0 in kidneys and tumours.
        volume: the CT.
        box: the mask's bounding box.
        component_ml: (N,) volumes of the mask's connected components.
        centres_mm: (N,) their centres along x, in mm from the volume's corner.
    """
    spine, whole = _spine(mask, volume, box)
    kidneys = centres_mm[component_ml >= SHRUNKEN_KIDNEY_ML]
    apart = len(kidneys) > 1 and np.ptp(kidneys) >= _KIDNEYS_APART_MM
    between = float(kidneys.min() + kidneys.max()) / 2 if apart else None
    if spine is None:
        middle, unknown = between, "" if apart else NO_SPINE
    elif apart and kidneys.min() < spine < kidneys.max():
        middle, unknown = spine, ""
    elif whole:
        middle, unknown = between if apart else spine, ""
    else:
        middle, unknown = spine, CUT
    return Midline(middle, unknown if volume.oriented else NOT_ORIENTED)


def _spine(mask: NDArray[np.uint8], volume: Volume, box: Box) -> tuple[float | None, bool]:
    """The centre of the spine along x in mm, None if not visible; and whether both sides of the body are complete."""
    steps = [
        max(1, round(step / s)) for step, s in zip((_STEP_MM, _STEP_MM, _SLICE_MM), volume.spacing_mm, strict=True)
    ]
    part = slice(None, None, steps[0]), slice(None, None, steps[1]), slice(box[2].start, box[2].stop, steps[2])
    hu = volume.hu[part]
    dx, dy = (count * size for count, size in zip(steps[:2], volume.spacing_mm[:2], strict=True))
    body = hu > HU_WINDOW[0] + 5  # air is HU_WINDOW[0] or less
    depth = body.sum(axis=(0, 2))
    used = np.flatnonzero(depth > 0.05 * depth.max())
    if len(used) == 0:
        return None, False
    # The back half, without the kidneys: contrast in the aorta lies in front of the spine.
    back = slice(used[0], used[0] + max(1, len(used) // 2))
    bone = (hu[:, back] >= _BONE_HU) & ~ndimage.binary_dilation(mask[part][:, back] > 0, iterations=3)
    area = bone.sum(axis=1) * (dx * dy / 100)  # cm² (x, slice)
    window = np.ones((max(1, round(_SPINE_WIDTH_MM / dx)), 1))
    within = ndimage.convolve(area, window, mode="constant")
    middle = int(within.mean(axis=1).argmax())
    if within[middle].mean() < _LEAST_BONE_CM2 or (within[middle] >= _LEAST_IN_SLICE_CM2).mean() < _SHARE_OF_SLICES:
        return None, False
    near = slice(max(0, middle - len(window) // 2), middle + len(window) // 2 + 1)
    weights = area[near].sum(axis=1)
    spine = float((np.arange(len(weights)) + near.start + 0.5) @ weights / weights.sum() * dx)
    columns = np.flatnonzero(body.mean(axis=(1, 2)) > 0.05 * len(used) / body.shape[1])
    flanks = spine - columns[0] * dx, (columns[-1] + 1) * dx - spine
    cut = columns[0] == 0, columns[-1] == len(body) - 1
    return spine, all(f >= (_FLANK_MM if c else _LEAST_FLANK_MM) for f, c in zip(flanks, cut, strict=True))
