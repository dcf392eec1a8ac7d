"""Resample between voxels and lattice cells: HU and labels to cells, probabilities back to voxels.

Resampling is separable. Along each axis the output is the *area mean* of the input where its cells are larger, and
*linear interpolation* between input centres where they are smaller: 4 mm cells average 0.7 mm pixels, 1.5 mm cells
interpolate between 5 mm slices. The weights are sparse matrices and the volume is streamed slice by slice, so that
there is never a float copy of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from kidneyseg.imaging.volume import HU_WINDOW, Volume
from kidneyseg.points.cloud import Lattice
from kidneyseg.progress import Progress

Corners = Sequence[int] | NDArray[np.integer]
Box = tuple[Corners, Corners]
"""A half-open box of integer indices: ((x0, y0, z0), (x1, y1, z1)), end excluded."""

_T = TypeVar("_T", bound=np.generic)

# A last cell thinner than this share of a cell is a rounding error of extent / step.
_SLIVER = 1e-4


def lattice_for(
    volume: Volume | tuple[Sequence[int], Sequence[float]], step_mm: float | Sequence[float], box: Box | None = None
) -> Lattice:
    """The lattice from the volume's outer corner that covers it; the last cells may reach beyond the volume.

    Args:
        volume: a Volume, or (shape, spacing_mm) of one.
        step_mm: edge of the cubic cells, or one length per axis.
        box: only these cells; see `Lattice.crop`.
    """
    shape, spacing = (volume.shape, volume.spacing_mm) if isinstance(volume, Volume) else volume
    dx, dy, dz = map(float, (step_mm,) * 3 if isinstance(step_mm, int | float) else step_mm)
    x, y, z = (max(1, int(np.ceil(n * s / d - _SLIVER))) for n, s, d in zip(shape, spacing, (dx, dy, dz), strict=True))
    whole = Lattice((dx, dy, dz), (x, y, z))
    return whole if box is None else whole.crop(*box)


def voxel_lattice(shape: Sequence[int], spacing_mm: Sequence[float], box: Box | None = None) -> Lattice:
    """The lattice whose cells are the voxels (of a box of voxels, if one is given)."""
    return lattice_for((shape, spacing_mm), spacing_mm, box)


def nearest_values(
    values: NDArray[_T], source: Lattice, target: Lattice, first: Sequence[int] | NDArray[np.integer] = (0, 0, 0)
) -> NDArray[_T]:
    """The value of the source cell that the centre of each target cell lies in; outside, of the nearest source cell.

    Args:
        values: (X, Y, Z), of the source cells from `first` on.
        source: the lattice of the values.
        target: the lattice to take values at.
        first: index of the source cell of values[0, 0, 0]; may be negative.

    Returns:
        (target.shape), Fortran-ordered.
    """
    x, y, z = ((source.cells_around(target, axis) - first[axis]).clip(0, values.shape[axis] - 1) for axis in range(3))
    nearest: NDArray[_T] = values.T[np.ix_(z, y, x)].T
    return nearest


def resample_hu(volume: Volume, lattice: Lattice, *, progress: Progress | None = None) -> NDArray[np.int16]:
    """HU of every cell of `lattice`, clipped to HU_WINDOW *before* averaging, as int16 (lattice.shape), C-ordered.

    Since HU are clipped first, a clipped file gives the same cells as one with the full range.
    """
    progress = progress or Progress()
    out = np.empty(lattice.shape, np.int16)
    voxels = voxel_lattice(volume.shape, volume.spacing_mm)
    for k, cells in _resampled_slices(volume.hu, voxels, lattice, lambda hu: np.clip(hu, *HU_WINDOW)):
        out[:, :, k] = np.rint(cells)
        progress.check()
    return out


def resample_labels(
    labels: NDArray[np.uint8], spacing_mm: Sequence[float], lattice: Lattice, *, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """The label that fills most of each cell, background included, as uint8 (lattice.shape), C-ordered.

    Works for kidney/tumour masks and for maps of many organs. A tie goes to the higher label. Along axes where
    cells are finer than voxels a label's share is interpolated linearly between voxel centres.
    """
    progress = progress or Progress()
    largest = np.ones(lattice.shape, np.float32)  # first the share of the background
    out = np.zeros(lattice.shape, np.uint8)
    shares: list[tuple[int, tuple[slice, ...], NDArray[np.float32]]] = []
    for label, box in enumerate(ndimage.find_objects(labels.T), start=1):  # x is fastest in memory
        if box is not None and (share := _share_of(labels, label, box[::-1], spacing_mm, lattice)):
            shares.append((label, *share))
            largest[share[0]] -= share[1]
        progress.check()
    for label, where, values in shares:
        # The tolerance decides ties for the higher label in spite of rounding.
        wins = (values >= largest[where] - 1e-5) & (values > 0)
        largest[where][wins] = values[wins]
        out[where][wins] = label
    return out


def upsampled_slices(
    values: NDArray[np.floating[Any]], lattice: Lattice, voxels: Lattice
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Interpolate fields on `lattice` at the voxels of a box, one slice at a time.

    Args:
        values: (lattice.shape) or (channels, *lattice.shape), probabilities or logits (never labels).
        lattice: the lattice of the values.
        voxels: the box of voxels to interpolate at, from `voxel_lattice`.

    Yields:
        (k, float32 (X, Y) or (channels, X, Y)) for k = 0 ... voxels.shape[2] - 1. Beyond the outermost cell centres
        values stay constant.
    """
    if values.ndim == 3:
        yield from _resampled_slices(values, lattice, voxels)
        return
    for slices in zip(*(_resampled_slices(channel, lattice, voxels) for channel in values), strict=True):
        yield slices[0][0], np.stack([one for _, one in slices])


def axis_weights(source: Lattice, target: Lattice, axis: int) -> tuple[sparse.csr_array, int]:
    """Weights (target cells, used source cells) along one axis, rows summing to 1, and the index of the first used one.

    Area mean where the target's step is the larger, linear interpolation between source centres where it is smaller.
    A target cell that lies wholly outside the source takes the nearest source cell.
    """
    n, m = source.shape[axis], target.shape[axis]
    scale = target.step_mm[axis] / source.step_mm[axis]
    start = (target.origin_mm[axis] - source.origin_mm[axis]) / source.step_mm[axis]
    low = start + np.arange(m) * scale
    if scale >= 1:
        low = np.clip(low, 0, n)
        high = np.clip(low + scale, 0, n)
        low = np.minimum(low, n - _SLIVER)
        high = np.maximum(high, low + _SLIVER)
        taps = int(np.ceil(scale)) + 1
        columns = np.floor(low).astype(np.int64)[:, None] + np.arange(taps)
        weights = np.minimum(high[:, None], columns + 1) - np.maximum(low[:, None], columns)
    else:
        centre = np.clip(low + scale / 2 - 0.5, 0, n - 1)
        first = np.floor(centre).astype(np.int64)
        columns = first[:, None] + np.arange(2)
        weights = np.stack([1 - (centre - first), centre - first], axis=1)
    weights = np.where((columns < n) & (weights > _SLIVER / 10), weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(m)[:, None], columns.shape)[weights > 0]
    columns, weights = columns[weights > 0], weights[weights > 0]
    offset, end = int(columns.min()), int(columns.max()) + 1
    matrix = sparse.csr_array((weights.astype(np.float32), (rows, columns - offset)), shape=(m, end - offset))
    return matrix, offset


def _resampled_slices(
    values: NDArray[Any], source: Lattice, target: Lattice, convert: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(k, float32 (x, y)) for each slice of `target`; `values` (source.shape) are converted slice by slice."""
    (along_x, x0), (along_y, y0), (along_z, z0) = (axis_weights(source, target, axis) for axis in range(3))
    window = values[x0 : x0 + along_x.shape[1], y0 : y0 + along_y.shape[1]]
    contracted: dict[int, NDArray[np.float32]] = {}  # source slices already resampled along x and y
    for k in range(target.shape[2]):
        taps = slice(along_z.indptr[k], along_z.indptr[k + 1])
        needed = along_z.indices[taps]
        contracted = {j: one for j, one in contracted.items() if j >= needed.min()}
        out = np.zeros((along_x.shape[0], along_y.shape[0]), np.float32)
        for j, weight in zip(needed.tolist(), along_z.data[taps], strict=True):
            if j not in contracted:
                # x is usually fastest in memory, so y is contracted first, on the transposed slice.
                slice_ = convert(window[:, :, j + z0]).astype(np.float32)
                contracted[j] = along_x @ np.ascontiguousarray((along_y @ slice_.T).T)
            out += weight * contracted[j]
        yield k, out


def _share_of(
    labels: NDArray[np.uint8], label: int, box: tuple[slice, ...], spacing_mm: Sequence[float], lattice: Lattice
) -> tuple[tuple[slice, ...], NDArray[np.float32]] | None:
    """The share of `label`, whose bounding box is `box`, in the cells around it: (cells, float32); None for no cell."""
    # One voxel of margin: linear interpolation reaches beyond the labelled voxels.
    start, stop = np.array([(side.start - 1, side.stop + 1) for side in box]).T * np.asarray(spacing_mm)
    low = np.maximum(np.floor((start - lattice.origin_mm) / lattice.step_mm), 0).astype(int)
    high = np.minimum(np.ceil((stop - lattice.origin_mm) / lattice.step_mm), lattice.shape).astype(int)
    if (low >= high).any():
        return None
    crop = lattice.crop(low, high)
    share = np.empty(crop.shape, np.float32)
    voxels = voxel_lattice(labels.shape, spacing_mm)
    for k, cells in _resampled_slices(labels, voxels, crop, lambda part: part == label):
        share[:, :, k] = cells
    return tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True)), share
