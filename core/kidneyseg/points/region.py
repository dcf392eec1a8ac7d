"""Where stage 2 looks: the cells of a fine lattice near stage 1's find, and on where a tumour reaches beyond that."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import KIDNEY, Lattice, PointCloud
from kidneyseg.points.resample import lattice_for

# A coarse cell with so much tumour in it is added to the find, in training too. So much tumour at a region's border
# makes it grow: less is a vessel or a bit of bowel.
TUMOUR_SHARE, _LEAST_AT_BORDER_ML = 0.4, 1.0


class Region(NamedTuple):
    """The surroundings of one separate find.

    Attributes:
        lattice: a box of the fine lattice.
        inside: bool (lattice.shape), the cells within the margin.
        found: bool (lattice.shape), the cells that lie in stage 1's find itself.
    """

    lattice: Lattice
    inside: NDArray[np.bool_]
    found: NDArray[np.bool_]

    @property
    def key(self) -> Hashable:
        """Differs once the find has grown here."""
        return self.lattice, int(self.inside.sum()), int(self.found.sum())


def regions_around(find: PointCloud, volume: Volume, grid_mm: float, margin_mm: float) -> list[Region]:
    """Boxes of the fine lattice that hold every cell within `margin_mm` of stage 1's kidney cells.

    Args:
        find: stage 1's labelled cloud on its coarse lattice; only its KIDNEY points count.
        volume: the CT.
        grid_mm: edge of the fine cells.
        margin_mm: distance from the surface of the found cells.

    Returns:
        One per separate region, in order of their lowest corner. Boxes may overlap, their regions do not. Empty without
        a find.
    """
    if find.labels is None or not (find.labels == KIDNEY).any():
        return []
    index = find.index[find.labels == KIDNEY]
    step = np.asarray(find.lattice.step_mm)
    reach = np.ceil(margin_mm / step).astype(int) + 1
    # Half of the coarse cell: the margin counts from the surface of a found cell, not from its centre.
    low, high = index.min(0) - reach, index.max(0) + reach + 1
    found = np.zeros(high - low, bool)
    found[tuple((index - low).T)] = True
    distance = ndimage.distance_transform_edt(~found, sampling=step) - step.min() / 2
    region = distance <= margin_mm
    parts, _ = ndimage.label(region, ndimage.generate_binary_structure(3, 3))
    whole = lattice_for(volume, grid_mm)
    result = []
    for label, box in enumerate(ndimage.find_objects(parts), start=1):
        corner = [(low[i] + box[i].start) * step[i] + find.lattice.origin_mm[i] for i in range(3)]
        end = [(low[i] + box[i].stop) * step[i] + find.lattice.origin_mm[i] for i in range(3)]
        first = [max(0, int(np.floor(c / grid_mm))) for c in corner]
        last = [min(n, int(np.ceil(e / grid_mm))) for e, n in zip(end, whole.shape, strict=True)]
        if any(a >= b for a, b in zip(first, last, strict=True)):
            continue
        fine = lattice_for(volume, grid_mm, box=((first[0], first[1], first[2]), (last[0], last[1], last[2])))
        inside = _inside(fine, distance, parts == label, low, find.lattice, margin_mm)
        result.append(Region(fine, inside, inside & _looked_up(found, low, find.lattice, fine)))
    return result


def cells_beyond_margin(
    find: PointCloud, tumour_mm: NDArray[np.floating], cell_ml: float, margin_mm: float
) -> NDArray[np.int32]:
    """Cells of the find's lattice to add to it, (M, 3), since a tumour reaches the border of what was looked at.

    Args:
        find: what `regions_around` was given, with a find in it.
        tumour_mm: (N, 3) centres of one region's tumour cells, in mm from the volume's corner.
        cell_ml: volume of such a cell.
        margin_mm: as it was given to `regions_around`.

    Returns:
        The coarse cells that tumour fills; none where less than 1 mL lies at the border.
    """
    if len(tumour_mm) == 0:
        return np.zeros((0, 3), np.int32)
    step = np.asarray(find.lattice.step_mm)
    index = find.index[np.asarray(find.labels) == KIDNEY]
    cells = np.stack([find.lattice.cells_of(tumour_mm[:, axis], axis) for axis in range(3)], axis=1)
    cells, counts = np.unique(cells, axis=0, return_counts=True)
    low, high = np.minimum(index.min(0), cells.min(0)), np.maximum(index.max(0), cells.max(0)) + 1
    found = np.zeros(high - low, bool)
    found[tuple((index - low).T)] = True
    distance = ndimage.distance_transform_edt(~found, sampling=step)[tuple((cells - low).T)]
    at_border = distance > margin_mm - step.min() / 2
    full = counts * cell_ml * 1000.0 >= TUMOUR_SHARE * step.prod()
    if counts[at_border].sum() * cell_ml < _LEAST_AT_BORDER_ML:
        full[:] = False
    return np.asarray(cells[full & (distance > 0)], np.int32)


def grown(find: PointCloud, cells: NDArray[np.int32]) -> PointCloud:
    """The find, all else left out, with `cells` (M, 3) of its lattice added; HU are lost."""
    index = np.concatenate([find.index[np.asarray(find.labels) == KIDNEY], cells])
    labels = np.full(len(index), KIDNEY, np.uint8)
    return PointCloud(find.lattice, index, np.zeros(len(index), np.int16), labels)


def _looked_up(found: NDArray[np.bool_], low: NDArray[np.integer], coarse: Lattice, fine: Lattice) -> NDArray[np.bool_]:
    """Which fine cells have their centre in a found cell; `found` begins at the coarse cell `low`."""
    picks = []
    for axis in range(3):
        centre = (np.arange(fine.shape[axis]) + 0.5) * fine.step_mm[axis] + fine.origin_mm[axis]
        picks.append((coarse.cells_of(centre, axis) - low[axis]).clip(0, found.shape[axis] - 1))
    return np.asarray(found[np.ix_(*picks)])


def _inside(
    fine: Lattice,
    distance: NDArray[np.floating],
    part: NDArray[np.bool_],
    low: NDArray[np.integer],
    coarse: Lattice,
    margin_mm: float,
) -> NDArray[np.bool_]:
    """Which fine cells lie within the margin of this part, by distance interpolated between coarse cells."""
    axes = []
    for axis in range(3):
        centre = (np.arange(fine.shape[axis]) + 0.5) * fine.step_mm[axis] + fine.origin_mm[axis]
        axes.append((centre - coarse.origin_mm[axis]) / coarse.step_mm[axis] - 0.5 - low[axis])
    field = np.where(ndimage.binary_dilation(part, iterations=1), distance, margin_mm + 1e3).astype(np.float32)
    # One axis after the other: linear interpolation on a regular lattice is separable.
    for axis, wanted in enumerate(axes):
        last = field.shape[axis] - 1
        position = np.clip(wanted, 0, last)
        before = np.minimum(position.astype(int), max(last - 1, 0))
        share = (position - before).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        field = field.take(before, axis) * (1 - share) + field.take(np.minimum(before + 1, last), axis) * share
    return np.asarray(field <= margin_mm)
