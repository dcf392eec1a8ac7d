"""Stage 1's detections and the cells of a crop: which lie within one, or within the margin around it."""

from __future__ import annotations

import numpy as np

from kidneyseg.arrays import Floats, Indices, Mask
from kidneyseg.points.region import TUMOUR_SHARE, surface_distance_mm
from kidneyseg.training.detections import Crop
from kidneyseg.training.spatial import sample_linear, sampling_grid

# The margin field saturates at this distance from the border of the margin.
FAR_MM = 10.0


def on_cells(mask: Mask, crop: Crop, low: Indices) -> Mask:
    """Which of the crop's cells have their centre in a coarse cell of `mask`, which begins at the cell `low`."""
    scale = crop.grid.cell_mm / crop.detection_mm
    picks = []
    for axis, size in enumerate(crop.grid.hu.shape):
        cells = np.floor((np.arange(size) + crop.corner[axis] + 0.5) * scale).astype(np.int64) - low[axis]
        picks.append(cells.clip(0, mask.shape[axis] - 1))
    return np.asarray(mask[np.ix_(*picks)])


def margin_field(detection: Mask, cell_mm: float, margin_mm: float) -> Floats:
    """How many mm each cell of a detection's grid lies within `margin_mm` of it, at most FAR_MM."""
    return np.asarray(np.clip(margin_mm - surface_distance_mm(detection, cell_mm), -FAR_MM, FAR_MM), np.float32)


def coarse_box(crop: Crop, margin_mm: float) -> tuple[Indices, Indices]:
    """Stage 1's cells that the crop covers, with the margin around: first and end."""
    scale, more = crop.grid.cell_mm / crop.detection_mm, int(np.ceil(margin_mm / crop.detection_mm)) + 1
    low = np.floor(crop.corner * scale).astype(np.int64) - more
    high = np.ceil((crop.corner + crop.grid.hu.shape) * scale).astype(np.int64) + more
    return np.maximum(low, 0), np.minimum(high, crop.kidney.shape)


def coarse_cells(mask: Mask, crop: Crop, low: Indices, shape: tuple[int, ...]) -> Mask:
    """Which of stage 1's cells from `low` on hold many cells of a mask on the crop."""
    result = np.zeros(shape, bool)
    if not mask.any():
        return result
    scale = crop.grid.cell_mm / crop.detection_mm
    cells = np.floor((np.argwhere(mask) + crop.corner + 0.5) * scale).astype(np.int64) - low
    cells = cells[((cells >= 0) & (cells < shape)).all(axis=1)]
    flat, counts = np.unique(np.ravel_multi_index(tuple(cells.T), shape), return_counts=True)
    result.reshape(-1)[flat[counts >= TUMOUR_SHARE / scale**3]] = True
    return result


def within(region: Floats, crop: Crop, low: Indices) -> Mask:
    """Which of the crop's cells lie within a `margin_field` that begins at stage 1's cell `low`."""
    shape, scale = np.array(crop.grid.hu.shape), crop.grid.cell_mm / crop.detection_mm
    box = tuple(slice(0, int(n)) for n in shape)
    middle = (shape / 2 + crop.corner) * scale - low
    grid = sampling_grid(box, shape / 2, np.eye(3) * scale, middle, region.shape)
    return np.asarray(sample_linear(region + np.float32(FAR_MM), grid) >= FAR_MM)
