"""Where a click on a row of the findings goes: the centres of kidneys and tumours, as voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import bounding_box
from kidneyseg.points.cloud import TUMOUR

if TYPE_CHECKING:
    from kidneyseg.findings import Findings
    from kidneyseg_gui.slices import Voxel

_MOST_TUMOURS = 50
_COARSE_MM = 2.0  # fine enough for the centre of a kidney
_TOUCHING = np.ones((3, 3, 3))


def tumour_middles(mask: NDArray[np.uint8]) -> tuple[Voxel, ...]:
    """The centre of each connected tumour of a mask (X, Y, Z), largest first, as in the findings."""
    box = bounding_box(mask == TUMOUR)
    if box is None:
        return ()
    parts, _count = ndimage.label(mask[box] == TUMOUR, _TOUCHING)
    sizes = np.bincount(parts.ravel())[1:]
    order = np.argsort(-sizes, kind="stable") + 1
    found = np.array(ndimage.center_of_mass(parts > 0, parts, order[:_MOST_TUMOURS])) + [piece.start for piece in box]
    return tuple((round(x), round(y), round(z)) for x, y, z in found)


def kidney_middles(
    mask: NDArray[np.uint8], findings: Findings, spacing_mm: tuple[float, float, float]
) -> tuple[tuple[Voxel | None, ...], Voxel | None]:
    """The centre of each kidney, with its tumours.

    The findings name a side and a volume, but no place. On each side, the connected components nearest to that side of
    the patient add up to the volume; the largest of them is the kidney. A horseshoe kidney is cut where its parts have
    the volumes of the findings.

    Args:
        mask: uint8 (X, Y, Z); x grows to the patient's right.
        findings: of this mask.
        spacing_mm: of its voxels.

    Returns:
        For each of `findings.kidneys` its centre, None where there is no component for it; and the centre of the
        largest component, None for an empty mask.
    """
    box = bounding_box(mask)
    if box is None:
        return (None,) * len(findings.kidneys), None
    step = [max(1, round(_COARSE_MM / mm)) for mm in spacing_mm]
    coarse = mask[box][tuple(slice(None, None, n) for n in step)] > 0
    parts, count = ndimage.label(coarse, _TOUCHING)
    ml = float(np.prod(spacing_mm) * np.prod(step)) / 1000

    def voxel(centre: NDArray[np.float64]) -> Voxel:
        x, y, z = (round(c * n + piece.start) for c, n, piece in zip(centre, step, box, strict=True))
        return x, y, z

    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:].astype(np.float64) * ml
    centres = np.array(ndimage.center_of_mass(coarse, parts, np.arange(1, count + 1)))
    if findings.horseshoe:
        found = _halves(coarse, findings, ml)
    else:
        found = [None if i is None else centres[i] for i in _components(sizes, centres[:, 0], findings)]
    return tuple(None if centre is None else voxel(centre) for centre in found), voxel(centres[sizes.argmax()])


def _components(sizes: NDArray[np.float64], x: NDArray[np.float64], findings: Findings) -> list[int | None]:
    """The component of each kidney, by the components' volumes and where they lie along x."""
    kidneys = findings.kidneys
    if any(kidney.side is None for kidney in kidneys):  # then each is a component of its own, from the right
        largest = np.argsort(-sizes, kind="stable")[: len(kidneys)]
        by_place = sorted(largest.tolist(), key=lambda i: -x[i])
        return [*by_place, *[None] * (len(kidneys) - len(by_place))]
    found: list[int | None] = []
    for kidney in kidneys:
        order = np.argsort(-x if kidney.side == "right" else x, kind="stable")
        volumes = np.cumsum(sizes[order])
        own = order[: 1 + int(np.abs(volumes - kidney.ml - kidney.tumour_ml).argmin())]
        found.append(int(own[sizes[own].argmax()]))
    return found


def _halves(coarse: NDArray[np.bool_], findings: Findings, ml: float) -> list[NDArray[np.float64] | None]:
    """The centres of both parts of a horseshoe kidney."""
    volumes = np.cumsum(coarse.sum(axis=(1, 2))) * ml  # from the left
    whole = float(volumes[-1])
    found: list[NDArray[np.float64] | None] = []
    for kidney in findings.kidneys:
        own = kidney.ml + kidney.tumour_ml
        inside = volumes > whole - own if kidney.side == "right" else volumes <= own
        part = np.where(inside[:, None, None], coarse, False)
        found.append(np.array(ndimage.center_of_mass(part)) if part.any() else None)
    return found
