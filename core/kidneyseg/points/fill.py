"""From a labelled cloud to a mask on the volume's voxels, by closing its cells or by convex hulls per slice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import bounding_box, dense_mask, separate_boxes
from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.hull import paint_hull
from kidneyseg.points.morphology import close_gaps, fill_small_holes
from kidneyseg.points.resample import nearest_values, upsampled_slices, voxel_lattice
from kidneyseg.progress import Progress
from kidneyseg.settings import FillSettings

# A smaller hole in a slice is a gap between points; a larger one may be the fat of the renal sinus.
HOLE_MM2 = 20.0

# Painted in this order: later ones over earlier ones.
_PAINTED = (KIDNEY, CYST, TUMOUR)

# A cell without a kept point may shift the border of its neighbours, but never becomes foreground by itself.
_MOST_IN_CONTEXT = 0.49


def fill_closing(
    cloud: PointCloud,
    volume: Volume,
    settings: FillSettings,
    *,
    context: PointCloud | None = None,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """Paint the cells of kidneys and their lesions, then close gaps and small holes.

    With `cloud.probability`, class probabilities are interpolated from cell centres to voxel centres, which gives
    smooth borders: a voxel is foreground where kidney, tumour and cyst together reach one half, and then the likeliest
    of them. A cell that is not in the cloud counts as tissue. Without probabilities a voxel takes the label
    of the cell that its centre lies in.

    Args:
        cloud: points of kidneys and lesions with labels; tissue points are ignored.
        volume: the CT that the cloud was sampled from.
        settings: `closing_mm` is the radius of the ball that gaps are closed with; 0 closes none.
        context: the cloud, with probabilities and on the same lattice, that `cloud` was selected from. Its tissue
            points place the border more finely between cells; points that `cloud` no longer has stay tissue.
        progress: checked between steps.

    Returns:
        uint8 (X, Y, Z), Fortran-ordered: 0, KIDNEY, TUMOUR, CYST. Tumour is painted over cyst, and that over kidney.
    """
    progress = progress or Progress()
    mask = np.zeros(volume.shape, np.uint8, order="F")
    cloud = cloud.select(~cloud.labelled(TISSUE))
    if len(cloud) == 0:
        return mask
    # Tissue around the points, as far as a voxel's mean reaches.
    around = np.ceil(np.divide(volume.spacing_mm, cloud.lattice.step_mm)).astype(np.int64)
    # Objects farther apart than this have no voxel that both paint, and no ball of the closing meets two of them.
    reach = np.add(volume.spacing_mm, settings.closing_mm) / cloud.lattice.step_mm
    for part in _parts(cloud, 2 * (np.ceil(reach).astype(np.int64) + around + 1)):
        crop = cloud.lattice.crop(part.index.min(axis=0) - around, part.index.max(axis=0) + around + 1)
        _fill_part(part, context, crop, volume, settings, mask, progress)
    return mask


def fill_hull(
    cloud: PointCloud, object_ids: NDArray[np.int32], volume: Volume, *, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """Fill the convex hull of each object's points in each slice along `volume.slice_axis`, class by class.

    A slice takes the layer of cells that its centre lies in. Where cells are larger than voxels a cell spans its
    outermost voxel centres, so that one cell alone fills its own voxels. A voxel is inside when its centre lies in the
    closed hull: one point gives one voxel, points on a line give the voxels whose centres lie on that line.

    Args:
        cloud: points of kidneys and lesions with labels; tissue points are ignored.
        object_ids: int32 (N,), the cluster of each point; no hull spans two of them.
        volume: the CT that the cloud was sampled from.
        progress: checked between slices.

    Returns:
        uint8 (X, Y, Z), Fortran-ordered: 0, KIDNEY, TUMOUR, CYST. Tumour is painted over cyst, and that over kidney.
    """
    progress = progress or Progress()
    mask = np.zeros(volume.shape, np.uint8, order="F")
    through = volume.slice_axis
    a, b = (axis for axis in range(3) if axis != through)
    slices = np.moveaxis(mask, through, 2)  # a view: (a, b, slice)
    lattice = cloud.lattice
    layers = lattice.cells_around(voxel_lattice(volume.shape, volume.spacing_mm), through)
    for label in _PAINTED:
        rows = np.flatnonzero(cloud.labelled(label))
        # In order of layer, then object, each hull's points are one run of rows.
        rows = rows[np.lexsort((object_ids[rows], cloud.index[rows, through]))]
        index, objects = cloud.index[rows], object_ids[rows]
        span_a, span_b = (_outermost_voxels(index[:, axis], axis, lattice, volume) for axis in (a, b))
        # One contiguous column, since `searchsorted` copies any other one each time.
        starts, stops = np.searchsorted(np.ascontiguousarray(index[:, through]), [layers, layers + 1])
        for k, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            for run in _runs(objects[start:stop], start):
                corners_a = np.concatenate([span_a[i][run] for i in (0, 0, 1, 1)])
                corners_b = np.concatenate([span_b[i][run] for i in (0, 1, 0, 1)])
                paint_hull(slices[:, :, k], corners_a, corners_b, label)
            progress.check()
    return mask


def _outermost_voxels(
    cells: NDArray[np.int32], axis: int, lattice: Lattice, volume: Volume
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last voxel along `axis` whose centre lies in each cell; the one voxel around a finer cell's centre."""
    step, spacing, origin = lattice.step_mm[axis], volume.spacing_mm[axis], lattice.origin_mm[axis]
    last = volume.shape[axis] - 1
    if step <= spacing * (1 + 1e-6):
        middle = np.floor(((cells + 0.5) * step + origin) / spacing).astype(np.int64).clip(0, last)
        return middle, middle
    first = np.ceil((cells * step + origin) / spacing - 0.5 - 1e-6).astype(np.int64)
    end = np.ceil(((cells + 1) * step + origin) / spacing - 0.5 - 1e-6).astype(np.int64) - 1
    return first.clip(0, last), end.clip(0, last)


def _runs(values: NDArray[np.int32], start: int) -> Iterator[slice]:
    """Slices of runs of equal values, moved by `start`."""
    if len(values):
        cuts = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
        yield from (slice(start + i, start + j) for i, j in pairwise(cuts))


def _parts(cloud: PointCloud, gap: NDArray[np.int64]) -> list[PointCloud]:
    """The cloud in parts whose boxes have at least `gap` (3,) empty cells between them along some axis."""
    dense, cells = dense_mask(cloud.index)
    boxes = separate_boxes(dense, gap)
    part_of = np.zeros(dense.shape, np.min_scalar_type(len(boxes)))
    for number, box in enumerate(boxes):
        part_of[box] = number
    own = part_of[tuple(cells.T)]
    return [cloud.select(own == number) for number in range(len(boxes))]


def _fill_part(
    cloud: PointCloud,
    context: PointCloud | None,
    crop: Lattice,
    volume: Volume,
    settings: FillSettings,
    mask: NDArray[np.uint8],
    progress: Progress,
) -> None:
    """Paint points of kidneys and lesions, which lie in the cells `crop`, into `mask`."""
    target = _voxels_around(crop, volume)
    classes = CYST + 1 if cloud.probability is None else cloud.probability.shape[1]
    wanted = [label for label in _PAINTED if label < classes]
    parts = {label: np.zeros(target.shape, np.bool_, order="F") for label in wanted}
    for k, labels in _painted(cloud, context, crop, target):
        for label, part in parts.items():
            # "kidney" holds its lesions too, so that no gap opens between them.
            part[:, :, k] = labels != TISSUE if label == KIDNEY else labels == label
        progress.check()
    first = target.first_cell.tolist()
    where = tuple(slice(start, start + n) for start, n in zip(first, target.shape, strict=True))
    for label, part in parts.items():
        box = bounding_box(part)
        if box is not None:
            closed = close_gaps(part[box], settings.closing_mm, volume.spacing_mm, progress=progress)
            mask[where][box][fill_small_holes(closed, volume.spacing_mm, volume.slice_axis, HOLE_MM2)] = label


def _voxels_around(crop: Lattice, volume: Volume) -> Lattice:
    """The voxels that the crop touches."""
    origin, extent = np.asarray(crop.origin_mm), np.multiply(crop.shape, crop.step_mm)
    low = (origin / volume.spacing_mm).astype(int)
    high = np.ceil((origin + extent) / volume.spacing_mm - 1e-6).astype(int)
    return voxel_lattice(volume.shape, volume.spacing_mm, (low, high))


def _painted(
    cloud: PointCloud, context: PointCloud | None, crop: Lattice, target: Lattice
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(k, labels) for each slice of voxels, uint8 (X, Y)."""
    if cloud.probability is None:
        cells = np.zeros(crop.shape, np.uint8)
        _scatter(cloud, crop, np.asarray(cloud.labels), cells)
        labels = nearest_values(cells, crop, target)
        yield from ((k, labels[:, :, k]) for k in range(target.shape[2]))
        return
    fields = _probability_fields(cloud, context, crop)
    near = nearest_values(_beside_lesions(cloud, crop), crop, target)
    for k, values in upsampled_slices(fields, crop, target):
        foreground = values[0] >= 0.5
        labels, highest = foreground.astype(np.uint8), values[0] - values[1:].sum(axis=0)  # KIDNEY is 1
        for label, lesion in enumerate(values[1:], start=TUMOUR):
            painted = foreground & (lesion > highest) & (near[:, :, k] & (1 << label) > 0)
            labels[painted], highest[painted] = label, lesion[painted]
        yield k, labels


def _beside_lesions(cloud: PointCloud, crop: Lattice) -> NDArray[np.uint8]:
    """A bit for each lesion's label that a cell or one of its 26 neighbours has: uint8 (*crop.shape).

    Elsewhere the class may be the likeliest between cells of which none has it: that is no lesion.
    """
    result = np.zeros(crop.shape, np.uint8)
    for label in (TUMOUR, CYST):
        own = cloud.select(cloud.labelled(label))
        if len(own):
            cells = np.zeros(crop.shape, np.bool_)
            _scatter(own, crop, np.ones(len(own), np.bool_), cells)
            near = ndimage.binary_dilation(cells, np.ones((3, 3, 3), np.bool_))
            result[near] |= 1 << label
    return result


def _probability_fields(cloud: PointCloud, context: PointCloud | None, crop: Lattice) -> NDArray[np.float16]:
    """Probability of anything but tissue, and of each lesion: float16 (classes - 1, *crop.shape), 0 without a point."""
    classes = 0 if cloud.probability is None else cloud.probability.shape[1]
    fields = np.zeros((max(classes - 1, 1), *crop.shape), np.float16)
    if context is not None and context.labels is not None:
        # Only tissue of the context: other points that the cloud no longer has stay 0.
        _scatter_probability(context.select(context.labelled(TISSUE)), crop, _MOST_IN_CONTEXT, fields)
    _scatter_probability(cloud, crop, 1.0, fields)
    return fields


def _scatter_probability(points: PointCloud, crop: Lattice, highest: float, fields: NDArray[np.float16]) -> None:
    """Write the points' probabilities into their cells, scaled so that of anything but tissue is at most `highest`."""
    if points.probability is None:
        return
    classes = points.probability.astype(np.float32)
    either = 1 - classes[:, TISSUE]
    scale = highest / np.maximum(either, highest)
    for values, field in zip((either, *classes.T[TUMOUR:]), fields, strict=True):
        _scatter(points, crop, values * scale, field)


def _scatter(cloud: PointCloud, crop: Lattice, values: NDArray[Any], out: NDArray[Any]) -> None:
    """Write `values` of the cloud's points into their cells of the crop; points outside it are left out."""
    index = cloud.index - (crop.first_cell - cloud.lattice.first_cell)
    inside = ((index >= 0) & (index < crop.shape)).all(axis=1)
    out[tuple(index[inside].T)] = values[inside]
