"""The brush and the eraser: a disc in a slice, or a ball, swept along the pointer's path; and a threshold in a ball."""

from __future__ import annotations

import itertools
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kidneyseg.arrays import Doubles
from kidneyseg.editing._painting import (
    ON_EDGE,
    HURange,
    check_axis,
    check_labels,
    check_target,
    clipped,
    painted_at,
)
from kidneyseg.editing.change import Shape, Voxels
from kidneyseg.editing.mask import EditedMask
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.volume import Volume
from kidneyseg.runs import Ints, expanded, united
from kidneyseg.settings import check_number

_MOST_MM = 100
# The square of how far a path may leave the direction of x and count as parallel to it.
_PARALLEL_MM2 = 1e-12


@dataclass(frozen=True)
class Brush:
    """What a stroke paints.

    Raises:
        SettingsError: for an unknown label or axis, a radius not above 0 and at most 100 mm, or an HU range whose end
            lies below its start.
    """

    label: int  #: the label that it paints, 0 to erase
    radius_mm: float  #: voxels whose centres are this near to the path are painted, and always those under the pointer
    axis: int | None = None  #: None for a ball; 0, 1 or 2 for a disc in the slice across this axis
    hu_range: HURange | None = None  #: the lowest and highest HU that it paints over; None for all
    over: frozenset[int] | None = None  #: the labels that it paints over; None for all

    def __post_init__(self) -> None:
        check_target(self.label, self.over, self.hu_range)
        check_number("brush radius", self.radius_mm, 0, _MOST_MM, unit=" mm", above=True)
        if self.axis is not None:
            check_axis(self.axis)


def paint(
    volume: Volume, labels: NDArray[np.uint8], brush: Brush, points: ArrayLike, *, continued: bool = False
) -> Voxels:
    """The voxels that a stroke changes. Strokes outside the volume change none.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), the present labels.
        brush: what is painted.
        points: (N, 3) voxel coordinates of the pointer's path, or (3,) for one point. Whole numbers are centres of
            voxels. The path runs straight from each point to the next, so that a quick stroke has no gaps.
        continued: whether the brush has painted around the first point already; what lies there is then passed over.

    Raises:
        SettingsError: for a disc whose points lie in several slices.
    """
    check_labels(volume, labels)
    path = np.asarray(points, float).reshape(-1, 3)
    if len(path) == 0:
        return Voxels.none()
    if brush.axis is not None:
        path = path.copy()
        path[:, brush.axis] = np.floor(path[:, brush.axis] + 0.5)
        if np.ptp(path[:, brush.axis]) > 0:
            raise SettingsError("a disc paints in one slice; paint each slice by its own stroke, or use a ball")
    parts = [_under_path(path, volume.shape)]
    for number, (start, end) in enumerate(itertools.pairwise(path) if len(path) > 1 else [(path[0], path[0])]):
        parts.append(_near_segment(volume, brush, start, end, new_only=number > 0 or continued))
    starts, stops = united(*(np.concatenate(ends) for ends in zip(*parts, strict=True)))
    index = expanded(starts, stops - starts)
    return painted_at(volume, labels, index, brush.label, brush.over, brush.hu_range)


class Stroke:
    """A stroke that is painted part by part, as the pointer moves.

    Each part looks only at what the brush reaches since the part before: a large ball has few new voxels.
    """

    def __init__(self) -> None:
        self._before: tuple[Brush, tuple[float, ...], EditedMask, set[int]] | None = None

    def part(self, volume: Volume, mask: EditedMask, brush: Brush, points: ArrayLike) -> Voxels:
        """The voxels that a part changes, as of `paint`. They must be painted before the next part.

        The first point of a part is the last one of the part before. Where that is not so, the brush is another, or the
        mask was changed between, all that the brush reaches is looked at.
        """
        path = np.asarray(points, float).reshape(-1, 3)
        continued = False
        if self._before is not None and len(path):
            before, end, painted, versions = self._before
            same = before == brush and painted is mask and mask.version in versions
            continued = same and end == tuple(path[0])
        voxels = paint(volume, mask.labels, brush, path, continued=continued)
        if len(path):  # of locked labels nothing is painted
            versions = {mask.version, mask.version + 1} if len(voxels) else {mask.version}
            self._before = brush, tuple(path[-1]), mask, versions
        return voxels


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


def _near_segment(volume: Volume, brush: Brush, start: Doubles, end: Doubles, *, new_only: bool) -> tuple[Ints, Ints]:
    """The voxels within the radius of a segment, as `united` takes runs; with `new_only` without those near its start.

    What a ball reaches on a straight way is convex, and so one run in each row of voxels along x.
    """
    spacing, radius_mm = np.asarray(volume.spacing_mm), brush.radius_mm * ON_EDGE
    reach = radius_mm / spacing
    if brush.axis is not None:
        reach[brush.axis] = 0
    box = clipped(np.minimum(start, end) - reach, np.maximum(start, end) + reach, volume.shape)
    if box is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    width = volume.shape[0]
    y, z = np.arange(box[1].start, box[1].stop), np.arange(box[2].start, box[2].stop)[:, None]
    rows_mm = (y - start[1]) * spacing[1], (z - start[2]) * spacing[2]

    def reached(line_mm: Doubles) -> tuple[Ints, Ints]:
        """The first voxel in each row, and the one after the last; equal in a row that has none."""
        low, high = (mm / spacing[0] for mm in _along_x(*rows_mm, line_mm, radius_mm))
        if brush.axis == 0:
            low, high = low.clip(min=0), high.clip(max=0)
        first = np.ceil(start[0] + low).astype(np.int64).clip(0, width)
        return first, np.maximum(np.floor(start[0] + high).astype(np.int64) + 1, first).clip(0, width)

    first, stop = reached((end - start) * spacing)
    inner_first, inner_stop = reached(np.zeros(3)) if new_only else (stop, stop)
    none = inner_first == inner_stop
    inner_first, inner_stop = np.where(none, stop, inner_first), np.where(none, stop, inner_stop)
    row = width * (y + volume.shape[1] * z)
    starts = np.stack([first + row, inner_stop + row], axis=-1).ravel()
    stops = np.stack([inner_first + row, stop + row], axis=-1).ravel()
    used = stops > starts
    return starts[used], stops[used]


def _along_x(y: Doubles, z: Doubles, line: Doubles, radius: float) -> tuple[Doubles, Doubles]:
    """Between which x the points of rows lie that are within a radius of a segment. All in mm from its start.

    Args:
        y: of the rows, broadcast against `z`.
        z: the same.
        line: (3,) the segment's end.
        radius: the distance.

    Returns:
        the lowest and the highest x of each row; the highest is below the lowest where no point is within the radius.
    """
    across = float(line[1] ** 2 + line[2] ** 2)
    square = y**2 + z**2
    if across < _PARALLEL_MM2:
        half = np.sqrt(np.maximum(radius**2 - square, 0))
        missed = square > radius**2
        low, high = min(line[0], 0) - half, max(line[0], 0) + half
    else:
        # A ball that is the share t of the way along the line reaches in a row up to x = t line[0] + sqrt(left - (t -
        # nearest)² across), which is concave in t: it is the largest where its slope is 0, or at an end of the line.
        nearest = (y * line[1] + z * line[2]) / across
        left = radius**2 - square + nearest**2 * across
        room = np.sqrt(np.maximum(left, 0) / across)
        first, last = np.maximum(nearest - room, 0), np.minimum(nearest + room, 1)
        missed = (left < 0) | (first > last)
        tilted = room * line[0] / np.sqrt(across + line[0] ** 2)
        low, high = (
            t * line[0] + sign * np.sqrt(np.maximum(left - (t - nearest) ** 2 * across, 0))
            for t, sign in ((np.clip(nearest - tilted, first, last), -1), (np.clip(nearest + tilted, first, last), 1))
        )
    return np.where(missed, 1.0, low), np.where(missed, -1.0, high)


def _under_path(path: Doubles, shape: Shape) -> tuple[Ints, Ints]:
    """The voxels of a volume that the path runs through, as `united` takes runs."""
    stops = [path[:1]]
    for start, end in itertools.pairwise(path):
        stops.append(np.linspace(start, end, int(np.abs(end - start).max() * 2) + 2)[1:])
    voxels = np.floor(np.concatenate(stops) + 0.5).astype(np.int64)
    x, y, z = voxels[((voxels >= 0) & (voxels < np.array(shape))).all(axis=1)].T
    index = x + shape[0] * (y + shape[1] * z)
    return index, index + 1
