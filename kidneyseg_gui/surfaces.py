# ruff: noqa: PLC0415 - VTK takes seconds to import, so functions import it in the working thread
"""Smooth surfaces of a mask, part by part: an edit changes one of them, and the others are used again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Box, bounding_box, separate_boxes
from kidneyseg.findings.components import label_components
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR

if TYPE_CHECKING:
    import pyvista

    from kidneyseg.imaging.volume import Volume
    from kidneyseg.progress import Progress
    from kidneyseg_gui.slices import Voxel

# Finer cells add no visible detail, and VTK holds the interpreter's lock while it contours them: 30 ms for two
# kidneys at 1.5 mm.
_SURFACE_MM = 1.5
_PAD_MM = 6.0
# A plate of one thick slice reaches 0.6 in the smoothed field, and would be drawn as a thin sliver.
_SOLID = 0.65


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the mask that lies so far from all others that its surface does not depend on them.

    Attributes:
        box: where in the mask.
        labels: a copy of the mask there, uint8 (X, Y, Z).
        surfaces: label to a pyvista.PolyData with normals; the kidneys' encloses their tumours and cysts.
        kidneys_alone: the kidneys' surface without tumours and cysts; None where there are none.
        middles: volume in voxels and centre of the largest connected tumour, and of the largest object; (0, None) for
            none.
    """

    box: Box
    labels: NDArray[np.uint8]
    surfaces: dict[int, pyvista.PolyData]
    kidneys_alone: pyvista.PolyData | None
    middles: tuple[tuple[int, Voxel | None], tuple[int, Voxel | None]]


def parts_of(
    labels: NDArray[np.uint8], volume: Volume, previous: Sequence[Part], progress: Progress
) -> tuple[Part, ...]:
    """The parts of a mask.

    Args:
        labels: the mask, uint8 (X, Y, Z).
        volume: the CT.
        previous: parts of an earlier mask of this CT; those that are the same are used again.
        progress: may cancel.
    """
    known = {_corners(part.box): part for part in previous}
    # As far apart as the margins around two surfaces reach.
    gap = np.ceil(2 * _PAD_MM / np.array(volume.spacing_mm)).astype(int)
    parts = []
    for box in separate_boxes(labels, gap):
        progress.check()
        part = known.get(_corners(box))
        if part is None or not np.array_equal(part.labels, labels[box]):
            part = _part(box, labels[box].copy(order="K"), volume.spacing_mm, progress)
        parts.append(part)
    return tuple(parts)


def joined(surfaces: Iterable[pyvista.PolyData | None]) -> pyvista.PolyData | None:
    """One surface of several, None for none."""
    found = [surface for surface in surfaces if surface is not None]
    if len(found) < 2:
        return found[0] if found else None
    together: pyvista.PolyData = found[0].append_polydata(*found[1:])
    return together


def _corners(box: Box) -> tuple[int, ...]:
    return tuple(end for side in box for end in (side.start, side.stop))


def _part(box: Box, labels: NDArray[np.uint8], spacing_mm: tuple[float, float, float], progress: Progress) -> Part:
    low = [side.start for side in box]
    tumour = labels == TUMOUR
    surfaces = {}
    # The kidney's surface encloses its tumours and cysts.
    for label, inside in ((KIDNEY, labels > 0), (TUMOUR, tumour), (CYST, labels == CYST)):
        progress.check()
        surface = _surface(inside, low, spacing_mm)
        if surface is not None:
            surfaces[label] = surface
    progress.check()
    alone = surfaces.get(KIDNEY) if len(surfaces) == 1 else _surface(labels == KIDNEY, low, spacing_mm)
    return Part(box, labels, surfaces, alone, (_middle(tumour, low), _middle(labels > 0, low)))


def _surface(
    inside: NDArray[np.bool_], low: list[int], spacing_mm: tuple[float, float, float]
) -> pyvista.PolyData | None:
    """The smooth surface of the true voxels; `low` is the voxel of the array's corner."""
    box = bounding_box(inside)
    if box is None:
        return None
    import pyvista

    spacing = np.array(spacing_mm)
    # Margins, so that the surface is closed at the edge of the scan, too.
    pad = np.ceil(_PAD_MM / spacing).astype(int)
    step = _SURFACE_MM / spacing
    field = _resampled(inside[box], pad, step)
    # The blur spans a slice of the CT; otherwise thick slices would show as steps.
    field = ndimage.gaussian_filter(field, np.maximum(1.0, 0.6 * spacing[::-1] / _SURFACE_MM))
    thin = _thin_parts(inside[box], field, pad, step)
    if thin is not None:
        field = np.maximum(field, thin)
    origin = (np.array([side.start for side in box]) + low - pad) * spacing + _SURFACE_MM / 2
    grid = pyvista.ImageData(dimensions=field.shape[::-1], origin=origin, spacing=(_SURFACE_MM,) * 3)
    grid.point_data["field"] = field.ravel()
    surface: pyvista.PolyData = grid.contour(
        [0.5], scalars="field", method="flying_edges", compute_normals=True, compute_scalars=False
    )
    return surface if surface.n_points else None


def _resampled(inside: NDArray[np.bool_], pad: NDArray[np.integer], step: NDArray[np.floating]) -> NDArray[np.float32]:
    """How far cells of `step` voxels lie inside, by linear interpolation: float32 (z, y, x), 0 ... 1.

    Args:
        inside: (X, Y, Z).
        pad: voxels of nothing on either side of each axis.
        step: cell size along each axis.
    """
    field = np.asarray(inside.T)  # x fastest, as in memory and as VTK takes it
    for axis in (2, 1, 0):  # z first: its planes are whole blocks of memory
        size = inside.shape[axis]
        centres = np.arange(np.ceil((size + 2 * pad[axis]) / step[axis])) * step[axis] + step[axis] / 2 - 0.5
        first = np.floor(centres - pad[axis]).astype(int)
        share = (centres - pad[axis] - first).astype(np.float32)
        along = [1, 1, 1]
        along[2 - axis] = -1
        before, after = (
            np.take(field, index.clip(0, size - 1), 2 - axis)
            * np.where((index >= 0) & (index < size), weight, np.float32(0)).reshape(along)
            for index, weight in ((first, 1 - share), (first + 1, share))
        )
        field = np.add(before, after, out=before)
    return np.asarray(field, np.float32)


def _thin_parts(
    inside: NDArray[np.bool_], smooth: NDArray[np.float32], pad: NDArray[np.integer], step: NDArray[np.floating]
) -> NDArray[np.float32] | None:
    """What smoothing removes, as a stroke on one slice, drawn thick enough to be seen; None for nothing.

    Args:
        inside: (X, Y, Z).
        smooth: the smoothed field (z, y, x); its surface is at 0.5.
        pad: as of `_resampled`.
        step: as of `_resampled`.

    Returns:
        another field, to be joined with the smoothed one.
    """
    held = np.zeros(smooth.shape, np.bool_)
    x, y, z = (
        ((index + before + 0.5) / size).astype(int)
        for index, before, size in zip(np.nonzero(inside), pad, step, strict=True)
    )
    held[z, y, x] = True
    # Any surface recedes at its edges and poles, by up to two cells or a slice.
    reach = [2 * max(2, math.ceil(1 / size)) + 1 for size in step[::-1]]
    lost = held & ~ndimage.maximum_filter(smooth >= _SOLID, reach)
    if not lost.any():
        return None
    thick: NDArray[np.float32] = ndimage.gaussian_filter(ndimage.maximum_filter(lost, 3).astype(np.float32), 1.0)
    return thick


def _middle(inside: NDArray[np.bool_], low: list[int]) -> tuple[int, Voxel | None]:
    """Voxels and centre of the largest connected component; `low` is the voxel of the array's corner."""
    box = bounding_box(inside)
    if box is None:
        return 0, None
    numbers, _count = label_components(inside[box])
    counts = np.bincount(numbers.ravel(order="K"))[1:]
    own = numbers == counts.argmax() + 1
    sums = [np.count_nonzero(own, axis=tuple({0, 1, 2} - {axis})) @ np.arange(own.shape[axis]) for axis in range(3)]
    x, y, z = np.array(sums) / counts.max() + [side.start for side in box] + low
    return int(counts.max()), (round(x), round(y), round(z))
