"""Resample between voxels and lattice cells: HU and labels to cells, probabilities back to voxels.

Resampling is separable. Along each axis an output interval takes the *area mean* of the input where it is the coarser
of the two, and *linear interpolation* between input centres where it is the finer: 4 mm cells average 0.7 mm pixels,
1.5 mm cells interpolate between 5 mm slices. The weights are sparse matrices and the volume is streamed slice by
slice, so that there is never a float copy of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from kidneyseg.imaging.volume import HU_WINDOW, Volume
from kidneyseg.points.cloud import Lattice
from kidneyseg.progress import Progress

Box = tuple[tuple[int, int, int], tuple[int, int, int]]
"""A half-open box of integer indices: ((x0, y0, z0), (x1, y1, z1)), end excluded."""

Triple = tuple[float, float, float]

# A last cell thinner than this share of a cell is a rounding error of extent / step.
_SLIVER = 1e-4


def lattice_for(
    volume: Volume | tuple[Sequence[int], Sequence[float]], step_mm: float | Triple, box: Box | None = None
) -> Lattice:
    """The lattice from the volume's outer corner that covers it; the last cells may reach beyond the volume.

    Args:
        volume: a Volume, or (shape, spacing_mm) of one.
        step_mm: edge of the cubic cells, or one length per axis.
        box: keep only these cells, clipped to the lattice. The origin moves too: a cell keeps its position in space.
    """
    shape, spacing = (volume.shape, volume.spacing_mm) if isinstance(volume, Volume) else volume
    steps = (step_mm,) * 3 if isinstance(step_mm, (int, float)) else step_mm
    cells = [max(1, int(np.ceil(n * s / step - _SLIVER))) for n, s, step in zip(shape, spacing, steps, strict=True)]
    low, high = [0, 0, 0], cells
    if box is not None:
        low = [min(max(a, 0), n - 1) for a, n in zip(box[0], cells, strict=True)]
        high = [min(max(b, a + 1), n) for a, b, n in zip(low, box[1], cells, strict=True)]
    return Lattice(
        step_mm=_triple(steps),
        shape=_int_triple(b - a for a, b in zip(low, high, strict=True)),
        origin_mm=_triple(a * step for a, step in zip(low, steps, strict=True)),
    )


def voxel_lattice(shape: Sequence[int], spacing_mm: Sequence[float], box: Box | None = None) -> Lattice:
    """The lattice whose cells are the voxels themselves (of a box of voxels, if one is given)."""
    return lattice_for((shape, spacing_mm), _triple(spacing_mm), box)


def resample_hu(volume: Volume, lattice: Lattice, *, progress: Progress | None = None) -> NDArray[np.int16]:
    """HU of every cell of `lattice`, clipped to HU_WINDOW *before* averaging, as int16 (lattice.shape), C-ordered.

    Since HU are clipped first, a clipped file gives the same cells as one with the full range.
    """
    out = np.empty(lattice.shape, np.int16)

    def one_slice(k: int, window: tuple[slice, slice]) -> NDArray[np.float32]:
        clipped: NDArray[np.int16] = np.clip(volume.hu[window[0], window[1], k], *HU_WINDOW)
        return clipped.astype(np.float32)

    voxels = voxel_lattice(volume.shape, volume.spacing_mm)
    for k, cells in _resampled_slices(one_slice, voxels, lattice):
        out[:, :, k] = np.rint(cells)
        if progress is not None:
            progress.check()
    return out


def resample_labels(
    labels: NDArray[np.uint8], spacing_mm: Sequence[float], lattice: Lattice, *, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """The label that fills most of each cell, background included, as uint8 (lattice.shape), C-ordered.

    Works for kidney/tumour masks and for maps of many organs. A tie goes to the higher label. Along axes where
    cells are finer than voxels a label's share is interpolated linearly between voxel centres.
    """
    best = np.ones(lattice.shape, np.float32)  # first the share of the background
    out = np.zeros(lattice.shape, np.uint8)
    shares: list[tuple[int, tuple[slice, ...], NDArray[np.float32]]] = []
    for label, where in enumerate(ndimage.find_objects(labels.T), start=1):  # x is fastest in memory
        found = None if where is None else _share_of(labels, label, where[::-1], spacing_mm, lattice)
        if found is not None:
            shares.append((label, *found))
            best[found[0]] -= found[1]
        if progress is not None:
            progress.check()
    for label, cells, share in shares:
        # The tolerance decides ties for the higher label in spite of rounding.
        wins = share >= best[cells] - 1e-5
        wins &= share > 0
        best[cells][wins] = share[wins]
        out[cells][wins] = label
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
    channels = values if values.ndim == 4 else values[None]

    def reader(channel: NDArray[np.floating[Any]]) -> Callable[[int, tuple[slice, slice]], NDArray[np.float32]]:
        return lambda k, window: channel[window[0], window[1], k].astype(np.float32)

    streams = [_resampled_slices(reader(channel), lattice, voxels) for channel in channels]
    for slices in zip(*streams, strict=True):
        k = slices[0][0]
        yield k, np.stack([one for _, one in slices]) if values.ndim == 4 else slices[0][1]


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
    read: Callable[[int, tuple[slice, slice]], NDArray[np.float32]], source: Lattice, target: Lattice
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (k, float32 (x, y)) for each slice of `target`; `read(k, window)` gives a slice of the source."""
    (along_x, x0), (along_y, y0), (along_z, z0) = (axis_weights(source, target, axis) for axis in range(3))
    window = (slice(x0, x0 + along_x.shape[1]), slice(y0, y0 + along_y.shape[1]))
    flat: dict[int, NDArray[np.float32]] = {}  # source slices already contracted along x and y
    for k in range(target.shape[2]):
        taps = slice(along_z.indptr[k], along_z.indptr[k + 1])
        needed = along_z.indices[taps]
        flat = {j: one for j, one in flat.items() if j >= needed.min()}
        out = np.zeros((along_x.shape[0], along_y.shape[0]), np.float32)
        for j, weight in zip(needed.tolist(), along_z.data[taps], strict=True):
            if j not in flat:
                # read() gives x fastest in memory, so y is contracted first, on the transposed slice.
                flat[j] = along_x @ np.ascontiguousarray((along_y @ read(j + z0, window).T).T)
            out += weight * flat[j]
        yield k, out


def _share_of(
    labels: NDArray[np.uint8],
    label: int,
    where: tuple[slice, ...],
    spacing_mm: Sequence[float],
    lattice: Lattice,
) -> tuple[tuple[slice, ...], NDArray[np.float32]] | None:
    """The share of `label` in the cells around its box `where`: (cells, float32), None if none is in the lattice."""
    low, high = [], []
    for axis in range(3):
        step, origin, spacing = lattice.step_mm[axis], lattice.origin_mm[axis], spacing_mm[axis]
        # One voxel of margin: linear interpolation reaches beyond the labelled voxels.
        a = int(np.floor(((where[axis].start - 1) * spacing - origin) / step))
        b = int(np.ceil(((where[axis].stop + 1) * spacing - origin) / step))
        low.append(max(a, 0))
        high.append(min(b, lattice.shape[axis]))
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return None
    origin_mm = [o + a * step for o, a, step in zip(lattice.origin_mm, low, lattice.step_mm, strict=True)]
    crop = Lattice(lattice.step_mm, _int_triple(b - a for a, b in zip(low, high, strict=True)), _triple(origin_mm))
    share = np.empty(crop.shape, np.float32)

    def one_slice(k: int, window: tuple[slice, slice]) -> NDArray[np.float32]:
        inside: NDArray[np.bool_] = labels[window[0], window[1], k] == label
        return inside.astype(np.float32)

    for k, cells in _resampled_slices(one_slice, voxel_lattice(labels.shape, spacing_mm), crop):
        share[:, :, k] = cells
    return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])), share


def _triple(values: Any) -> Triple:
    x, y, z = (float(v) for v in values)
    return x, y, z


def _int_triple(values: Any) -> tuple[int, int, int]:
    x, y, z = (int(v) for v in values)
    return x, y, z
