"""Closing and hole filling on boxes of voxels, in mm and without a distance map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import bounding_box
from kidneyseg.progress import Progress

# Voxels along x are packed into words of this many bits, so that one operation shifts or joins as many voxels.
_BITS = 64

Words = NDArray[np.uint64]


def close_gaps(
    mask: NDArray[np.bool_], radius_mm: float, spacing_mm: Sequence[float], *, progress: Progress | None = None
) -> NDArray[np.bool_]:
    """Morphological closing with a ball of `radius_mm`; space beyond the array is empty but does not erode the mask.

    Args:
        mask: bool (X, Y, Z).
        radius_mm: voxels whose centres are this near belong to the ball; a radius under one voxel closes nothing.
        spacing_mm: voxel edges along x, y, z.
        progress: checked along the way.

    Returns:
        bool (X, Y, Z), Fortran-ordered; `mask` is always part of it.
    """
    runs, (rx, ry, rz) = _ball_runs(radius_mm, spacing_mm)
    if max(rx, ry, rz) == 0 or not mask.any():
        return np.asfortranarray(mask)
    # With a frame as wide as the ball, bits that move along x never reach the next row.
    x, y, z = mask.shape
    rows = np.zeros((z, y, -(-(x + 2 * rx) // _BITS) * _BITS), np.bool_)
    rows[:, :, rx : rx + x] = mask.T
    words = np.packbits(rows, axis=-1, bitorder="little").view(np.uint64)
    progress = progress or Progress()
    dilated = np.zeros((z + 2 * rz, y + 2 * ry, words.shape[2]), np.uint64)
    for line, dy, dz in _lines(words, runs, progress):
        dilated[rz + dz : rz + dz + z, ry + dy : ry + dy + y] |= line
    # A voxel stays empty where a ball around it reaches what was not dilated into.
    words[:] = 0
    for line, dy, dz in _lines(~dilated, runs, progress):
        words |= line[rz + dz : rz + dz + z, ry + dy : ry + dy + y]
    empty = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little").view(np.bool_)
    return np.logical_not(empty[:, :, rx : rx + x]).T


def fill_small_holes(
    mask: NDArray[np.bool_], spacing_mm: Sequence[float], slice_axis: int, most_mm2: float
) -> NDArray[np.bool_]:
    """`mask` with the holes filled that are closed within a slice and measure at most `most_mm2` there."""
    in_plane = [axis for axis in range(3) if axis != slice_axis]
    hidden = _hidden(mask, in_plane)
    box = bounding_box(hidden, [int(axis in in_plane) for axis in range(3)])
    if box is None:
        return mask
    plane = ndimage.generate_binary_structure(3, 1)
    plane[tuple([0, 2] if axis == slice_axis else 1 for axis in range(3))] = False
    # Transposed, since `label` is three times as fast where its last axis is contiguous.
    holes = ndimage.label(~mask[box].T, plane.T)[0].T
    small = np.bincount(holes.ravel(order="K")) * (spacing_mm[in_plane[0]] * spacing_mm[in_plane[1]]) <= most_mm2
    small[holes[~hidden[box]]] = False  # the mask itself, and what is open to the border
    filled = mask.copy(order="F")
    filled[box] |= small[holes]
    return filled


def _hidden(mask: NDArray[np.bool_], in_plane: Sequence[int]) -> NDArray[np.bool_]:
    """Voxels outside `mask` from which a line along each axis in plane meets it on both sides; holes are among them."""
    hidden = ~mask
    for axis in in_plane:
        before = np.logical_or.accumulate(mask, axis=axis)
        after = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis=axis), axis)
        hidden &= before & after
    return hidden


def _ball_runs(
    radius_mm: float, spacing_mm: Sequence[float]
) -> tuple[list[tuple[int, int, int]], tuple[int, int, int]]:
    """The ball as runs (dy, dz, reach along x), and how many voxels it reaches along x, y, z."""
    radius = radius_mm * (1 + 1e-6)
    rx, ry, rz = (int(radius / spacing) for spacing in spacing_mm)
    runs = []
    for dy in range(-ry, ry + 1):
        for dz in range(-rz, rz + 1):
            rest = radius**2 - (dy * spacing_mm[1]) ** 2 - (dz * spacing_mm[2]) ** 2
            if rest >= 0:
                runs.append((dy, dz, int(np.sqrt(rest) / spacing_mm[0])))
    return runs, (rx, ry, rz)


def _lines(words: Words, runs: list[tuple[int, int, int]], progress: Progress) -> Iterator[tuple[Words, int, int]]:
    """(`words` dilated along x by the reach, dy, dz) for each run of the ball; the array is reused."""
    line = words.copy()
    reach = 0
    for dy, dz, wanted in sorted(runs, key=lambda run: run[2]):
        while reach < wanted:
            reach += 1
            _or_shifted(line, words, reach)
            _or_shifted(line, words, -reach)
        yield line, dy, dz
        progress.check()


def _or_shifted(out: Words, source: Words, offset: int) -> None:
    """Bit i + offset of `out` |= bit i of `source`, both taken flat, wherever both exist."""
    words, bits = divmod(offset, _BITS)
    parts = [(words, source << np.uint64(bits))]
    if bits:
        parts.append((words + 1, source >> np.uint64(_BITS - bits)))
    for shift, part in parts:
        into = out.reshape(-1)[max(shift, 0) : out.size + min(shift, 0)]
        into |= part.reshape(-1)[max(-shift, 0) : out.size - max(shift, 0)]
