"""The brush and the eraser: a disc in a slice, or a ball, swept along the pointer's path; and a threshold in a ball."""

from __future__ import annotations

import itertools
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kidneyseg.arrays import Box
from kidneyseg.editing._painting import HURange, check_axis, check_labels, check_target, clipped, painted
from kidneyseg.editing.change import Voxels
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.volume import Volume
from kidneyseg.settings import check_number

_MOST_MM = 100
# A centre that lies on the edge of the brush counts as inside, whatever the rounding.
_EDGE = 1 + 1e-6


@dataclass(frozen=True)
class Brush:
    """What a stroke paints.

    Attributes:
        label: the label that it paints, 0 to erase.
        radius_mm: voxels whose centres are this near to the path are painted, and always those under the pointer.
        axis: None for a ball; 0, 1 or 2 for a disc in the slice across this axis.
        hu_range: the lowest and highest HU that it paints over; None for all.
        over: the labels that it paints over; None for all.

    Raises:
        SettingsError: for an unknown label or axis, a radius not above 0 and at most 100 mm, or an HU range whose end
            lies below its start.
    """

    label: int
    radius_mm: float
    axis: int | None = None
    hu_range: HURange | None = None
    over: frozenset[int] | None = None

    def __post_init__(self) -> None:
        check_target(self.label, self.over, self.hu_range)
        check_number("brush radius", self.radius_mm, 0, _MOST_MM, unit=" mm", above=True)
        if self.axis is not None:
            check_axis(self.axis)


def paint(volume: Volume, labels: NDArray[np.uint8], brush: Brush, points: ArrayLike) -> Voxels:
    """The voxels that a stroke changes. Strokes outside the volume change none.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), the present labels.
        brush: what is painted.
        points: (N, 3) voxel coordinates of the pointer's path, or (3,) for one point. Whole numbers are centres of
            voxels. The path runs straight from each point to the next, so that a quick stroke has no gaps.

    Raises:
        SettingsError: for a disc whose points lie in several slices.
    """
    check_labels(volume, labels)
    path = np.asarray(points, float).reshape(-1, 3)
    if len(path) == 0:
        return Voxels.none()
    spacing = np.asarray(volume.spacing_mm)
    reach = brush.radius_mm * _EDGE / spacing
    if brush.axis is not None:
        path = path.copy()
        path[:, brush.axis] = np.floor(path[:, brush.axis] + 0.5)
        if np.ptp(path[:, brush.axis]) > 0:
            raise SettingsError("a disc paints in one slice; paint each slice by its own stroke, or use a ball")
        reach[brush.axis] = 0
    at_least = np.maximum(reach, 0.5)  # the voxel under the pointer
    box = clipped(path.min(axis=0) - at_least, path.max(axis=0) + at_least, volume.shape)
    if box is None:
        return Voxels.none()
    inside = np.zeros([side.stop - side.start for side in box], np.bool_, order="F")
    low = np.array([side.start for side in box])
    for start, end in _short_segments(path, spacing, brush.radius_mm):
        around = clipped(np.minimum(start, end) - reach - low, np.maximum(start, end) + reach - low, inside.shape)
        if around is not None:
            inside[around] |= _near_segment(around, start - low, end - low, spacing, brush.radius_mm)
    inside[tuple(_under_path(path - low, inside.shape).T)] = True
    return painted(volume, labels, box, inside, brush.label, brush.over, brush.hu_range)


def threshold_ball(
    volume: Volume,
    labels: NDArray[np.uint8],
    centre: ArrayLike,
    radius_mm: float,
    hu_range: HURange,
    label: int,
    *,
    over: AbstractSet[int] | None = None,
) -> Voxels:
    """The voxels of a ball whose HU lie in a range.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), the present labels.
        centre: (3,) voxel coordinates; whole numbers are centres of voxels.
        radius_mm: above 0 and at most 100.
        hu_range: the lowest and highest HU, both included.
        label: the new label.
        over: the labels that may be painted over; None for all.

    Raises:
        SettingsError: for an unknown label, a radius outside its range, or an HU range whose end lies below its start.
    """
    only_over = None if over is None else frozenset(over)
    return paint(volume, labels, Brush(label, radius_mm, None, hu_range, only_over), centre)


def _short_segments(
    path: NDArray[np.floating], spacing: NDArray[np.floating], most_mm: float
) -> list[tuple[NDArray[np.floating], NDArray[np.floating]]]:
    """The path in segments of at most `most_mm` or one voxel: the box around a long oblique one would be large."""
    if len(path) == 1:
        return [(path[0], path[0])]
    pieces: list[tuple[NDArray[np.floating], NDArray[np.floating]]] = []
    for start, end in itertools.pairwise(path):
        count = int(np.ceil(np.linalg.norm((end - start) * spacing) / max(most_mm, spacing.max()))) or 1
        stops = np.linspace(start, end, count + 1)
        pieces += itertools.pairwise(stops)
    return pieces


def _near_segment(
    box: Box,
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    spacing: NDArray[np.floating],
    radius_mm: float,
) -> NDArray[np.bool_]:
    """Which voxel centres of a box lie within `radius_mm` of a segment: bool of the box's size, Fortran-ordered."""
    # Offsets from the start in mm, as z, y, x.
    offsets = [
        ((np.arange(box[axis].start, box[axis].stop) - start[axis]) * spacing[axis]).reshape(
            [-1 if axis == i else 1 for i in (2, 1, 0)]
        )
        for axis in (2, 1, 0)
    ]
    square = offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2
    line = ((end - start) * spacing)[::-1]
    length_square = float(line @ line)
    if length_square > 0:
        # The nearest point lies `share` of the way from start to end. In place: each new array costs as much as a sum.
        along = offsets[0] * line[0] + offsets[1] * line[1] + offsets[2] * line[2]
        share = np.clip(along / length_square, 0, 1)
        along *= -2
        along += share * length_square
        along *= share
        square += along
    near: NDArray[np.bool_] = (square <= (radius_mm * _EDGE) ** 2).T
    return near


def _under_path(path: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The voxels (N, 3) that the path runs through, of a volume of this shape."""
    stops = [path[:1]]
    for start, end in itertools.pairwise(path):
        stops.append(np.linspace(start, end, int(np.abs(end - start).max() * 2) + 2)[1:])
    voxels = np.floor(np.concatenate(stops) + 0.5).astype(np.int64)
    return voxels[((voxels >= 0) & (voxels < np.array(shape))).all(axis=1)]
