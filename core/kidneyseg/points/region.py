"""Which fine cells become stage 2's points: near stage 1's detections, and beyond where a kidney or lesion goes on.

Also what both stages see beyond the ends of a scan.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import dense_mask
from kidneyseg.imaging.labels import KIDNEY
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.resample import lattice_for, nearest_values

# Share of a coarse cell that a kidney or lesion must fill for the cell to be added to the detections; also in training.
FOLLOWED_SHARE = 0.4
# Less than this at the border of a region is a vessel or bowel and does not extend the region.
_LEAST_AT_BORDER_ML = 1.0
# How far the scan's ends are repeated outward; also in training.
BEYOND_MM = 20.0


class Region(NamedTuple):
    """The surroundings of one connected group of detections."""

    lattice: Lattice  #: a box of the fine lattice
    inside: NDArray[np.bool_]  #: bool (lattice.shape), the cells within the margin
    detected: NDArray[np.bool_]  #: bool (lattice.shape), the cells that lie in stage 1's detections themselves

    @property
    def key(self) -> Hashable:
        """Changes when the detections in this region have grown."""
        return self.lattice, int(self.inside.sum()), int(self.detected.sum())


def surface_distance_mm(detected: NDArray[np.bool_], step_mm: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance of each cell's centre from the surface of the detected cells, negative inside them.

    Args:
        detected: bool (X, Y, Z).
        step_mm: edge of the cells, one for all axes or one per axis. Half of the shortest counts as the distance
            between a detected cell's centre and its surface.

    Returns:
        float64 (X, Y, Z) in mm.
    """
    distance = ndimage.distance_transform_edt(~detected, sampling=step_mm)
    return np.asarray(distance - np.min(step_mm) / 2)


def regions_around(detections: PointCloud, volume: Volume, grid_mm: float, margin_mm: float) -> list[Region]:
    """Boxes of the fine lattice that hold every cell within `margin_mm` of stage 1's kidney cells.

    Args:
        detections: stage 1's labelled cloud on its coarse lattice; only its KIDNEY points count.
        volume: the CT.
        grid_mm: edge of the fine cells.
        margin_mm: distance from the surface of the detected cells.

    Returns:
        One per connected region, in order of their lowest corner. Boxes may overlap, their regions do not. Empty
        without detections.
    """
    coarse, index = detections.lattice, detections.index[detections.labelled(KIDNEY)]
    if len(index) == 0:
        return []
    step, origin = np.asarray(coarse.step_mm), np.asarray(coarse.origin_mm)
    detected, local = dense_mask(index, np.ceil(margin_mm / step).astype(int) + 1)
    low = index[0] - local[0]
    distance = surface_distance_mm(detected, step)
    parts, _ = ndimage.label(distance <= margin_mm, ndimage.generate_binary_structure(3, 3))
    whole = lattice_for(volume, grid_mm)
    result = []
    for label, box in enumerate(ndimage.find_objects(parts), start=1):
        start, stop = np.array([(side.start, side.stop) for side in box]).T
        first = np.floor(((low + start) * step + origin) / grid_mm).astype(int)
        end = np.ceil(((low + stop) * step + origin) / grid_mm).astype(int)
        if (end > 0).all() and (first < whole.shape).all():
            fine = whole.crop(first, end)
            inside = _within_margin(fine, distance, parts == label, low, coarse, margin_mm)
            result.append(Region(fine, inside, inside & nearest_values(detected, coarse, fine, low)))
    return result


def cells_beyond_margin(
    detections: PointCloud, followed_mm: NDArray[np.floating], cell_ml: float, margin_mm: float
) -> NDArray[np.int32]:
    """Cells of the detections' lattice to add to them where a kidney or a lesion reaches the border of its region.

    Args:
        detections: as given to `regions_around`, with at least one KIDNEY point.
        followed_mm: (N, 3) centres of one region's cells of kidney and lesions, in mm from the volume's corner.
        cell_ml: volume of such a cell.
        margin_mm: as given to `regions_around`.

    Returns:
        int32 (M, 3), the coarse cells that they fill; none where less than 1 mL lies at the border.
    """
    if len(followed_mm) == 0:
        return np.zeros((0, 3), np.int32)
    step = np.asarray(detections.lattice.step_mm)
    index = detections.index[detections.labelled(KIDNEY)]
    cells = np.stack([detections.lattice.cells_of(followed_mm[:, axis], axis) for axis in range(3)], axis=1)
    cells, counts = np.unique(cells, axis=0, return_counts=True)
    low, high = np.minimum(index.min(0), cells.min(0)), np.maximum(index.max(0), cells.max(0)) + 1
    detected = np.zeros(high - low, bool)
    detected[tuple((index - low).T)] = True
    distance = surface_distance_mm(detected, step)[tuple((cells - low).T)]
    at_border = distance > margin_mm - step.min()
    if counts[at_border].sum() * cell_ml < _LEAST_AT_BORDER_ML:
        return np.zeros((0, 3), np.int32)
    full = counts * cell_ml * 1000.0 >= FOLLOWED_SHARE * step.prod()
    return np.asarray(cells[full & (distance > 0)], np.int32)


def grown(detections: PointCloud, cells: NDArray[np.int32]) -> PointCloud:
    """The KIDNEY points of `detections` with `cells` (M, 3) of their lattice added; HU are not kept."""
    index = np.concatenate([detections.index[detections.labelled(KIDNEY)], cells])
    return PointCloud.of_cells(detections.lattice, index, np.full(len(index), KIDNEY, np.uint8))


def _within_margin(
    fine: Lattice,
    distance: NDArray[np.floating],
    part: NDArray[np.bool_],
    low: NDArray[np.integer],
    coarse: Lattice,
    margin_mm: float,
) -> NDArray[np.bool_]:
    """Which fine cells lie within the margin of this part; distances are interpolated between coarse cells."""
    field = np.where(ndimage.binary_dilation(part, iterations=1), distance, margin_mm + 1e3).astype(np.float32)
    # One axis after the other: linear interpolation on a regular lattice is separable.
    for axis in range(3):
        last = field.shape[axis] - 1
        centre = (fine.axis_centres_mm(axis) - coarse.origin_mm[axis]) / coarse.step_mm[axis] - 0.5 - low[axis]
        position = np.clip(centre, 0, last)
        before = np.minimum(position.astype(int), max(last - 1, 0))
        weight = (position - before).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        field = field.take(before, axis) * (1 - weight) + field.take(np.minimum(before + 1, last), axis) * weight
    return np.asarray(field <= margin_mm)


def with_layers_beyond(
    index: NDArray[np.int32], whole: Lattice, axis: int
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Cells and, after them, copies of those in the scan's first and last layer, farther and farther outward.

    In training, kidneys mostly go on beyond what a sample shows of them. One that ends where the scan does is missed,
    or looks like a tumour.

    Args:
        index: int32 (N, 3), cells of the lattice `whole`.
        whole: the scan's lattice.
        axis: along which the scan's slices are stacked.

    Returns:
        int32 (M, 3), some outside the lattice; and for each the row of `index` that it is or repeats: (M,).
    """
    cells, rows = [index], [np.arange(len(index))]
    for end, outward in ((0, -1), (whole.shape[axis] - 1, 1)):
        at_end = np.flatnonzero(index[:, axis] == end)
        for layer in range(1, 1 + round(BEYOND_MM / whole.step_mm[axis])):
            moved = index[at_end]
            moved[:, axis] += outward * layer
            cells.append(moved)
            rows.append(at_end)
    return np.concatenate(cells), np.concatenate(rows)
