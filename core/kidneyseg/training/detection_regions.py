"""Stage 1's finds and the cells of a close-up: which lie within one, or within the margin around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.points.region import TUMOUR_SHARE
from kidneyseg.training.augmentation import sample_linear, sampling_grid
from kidneyseg.training.detections import Crop

# Farther than this from the margin's border nothing is told apart.
FAR_MM = 10.0


def on_cells(mask: NDArray[np.bool_], one: Crop, low: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the close-up's cells have their centre in a coarse cell of `mask`, which begins at the cell `low`."""
    scale = one.scene.cell_mm / one.find_mm
    picks = []
    for axis, size in enumerate(one.scene.hu.shape):
        cells = np.floor((np.arange(size) + one.corner[axis] + 0.5) * scale).astype(np.int64) - low[axis]
        picks.append(cells.clip(0, mask.shape[axis] - 1))
    return np.asarray(mask[np.ix_(*picks)])


def margin_field(found: NDArray[np.bool_], cell_mm: float, margin_mm: float) -> NDArray[np.float32]:
    """How many mm each cell of `found`'s lattice lies within `margin_mm` of it: as `points.region` measures."""
    distance = ndimage.distance_transform_edt(~found, sampling=cell_mm) - cell_mm / 2
    return np.asarray(np.clip(margin_mm - distance, -FAR_MM, FAR_MM), np.float32)


def coarse_box(one: Crop, margin_mm: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stage 1's cells that the close-up covers, with the margin around: first and end."""
    scale, more = one.scene.cell_mm / one.find_mm, int(np.ceil(margin_mm / one.find_mm)) + 1
    low = np.floor(one.corner * scale).astype(np.int64) - more
    high = np.ceil((one.corner + one.scene.hu.shape) * scale).astype(np.int64) + more
    return np.maximum(low, 0), np.minimum(high, one.kidney.shape)


def coarse_cells(
    mask: NDArray[np.bool_], one: Crop, low: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Which of stage 1's cells from `low` on hold many cells of a fine mask."""
    result = np.zeros(shape, bool)
    if not mask.any():
        return result
    scale = one.scene.cell_mm / one.find_mm
    cells = np.floor((np.argwhere(mask) + one.corner + 0.5) * scale).astype(np.int64) - low
    cells = cells[((cells >= 0) & (cells < shape)).all(axis=1)]
    flat, counts = np.unique(np.ravel_multi_index(tuple(cells.T), shape), return_counts=True)
    result.reshape(-1)[flat[counts >= TUMOUR_SHARE / scale**3]] = True
    return result


def within(region: NDArray[np.float32], one: Crop, low: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the close-up's cells lie within a `margin_field` that begins at the find's cell `low`."""
    shape, scale = np.array(one.scene.hu.shape), one.scene.cell_mm / one.find_mm
    box = tuple(slice(0, int(n)) for n in shape)
    middle = (shape / 2 + one.corner) * scale - low
    grid = sampling_grid(box, shape / 2, np.eye(3) * scale, middle, region.shape)
    return np.asarray(sample_linear(region + np.float32(FAR_MM), grid) >= FAR_MM)
