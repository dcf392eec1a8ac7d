"""Closing and hole filling on boxes of voxels, in mm and without a distance map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.progress import Progress


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
    runs, reach = _ball_runs(radius_mm, spacing_mm)
    if max(reach) == 0 or not mask.any():
        return np.asfortranarray(mask)
    # With a frame as wide as the ball, shifts of the flat array never wrap around into the next row.
    framed = np.zeros(tuple(n + 2 * r for n, r in zip(mask.shape, reach, strict=True)), np.bool_, order="F")
    inner = tuple(slice(r, r + n) for n, r in zip(mask.shape, reach, strict=True))
    framed[inner] = mask
    progress = progress or Progress()
    dilated = _dilated(framed, runs, progress)
    np.logical_not(dilated, out=dilated)
    closed = _dilated(dilated, runs, progress)[inner]
    return np.asfortranarray(~closed)


def fill_small_holes(
    mask: NDArray[np.bool_], spacing_mm: Sequence[float], slice_axis: int, most_mm2: float
) -> NDArray[np.bool_]:
    """`mask` with the holes filled that are closed within a slice and measure at most `most_mm2` there."""
    in_plane = [axis for axis in range(3) if axis != slice_axis]
    plane = ndimage.generate_binary_structure(3, 1)
    plane[tuple([0, 2] if axis == slice_axis else 1 for axis in range(3))] = False
    holes, _ = ndimage.label(~mask, plane)
    small = np.bincount(holes.ravel(order="K")) * (spacing_mm[in_plane[0]] * spacing_mm[in_plane[1]]) <= most_mm2
    small[0] = False
    for axis in in_plane:
        for end in (0, -1):
            small[np.take(holes, end, axis=axis)] = False
    return np.asarray(mask | small[holes], np.bool_)


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


def _dilated(mask: NDArray[np.bool_], runs: list[tuple[int, int, int]], progress: Progress) -> NDArray[np.bool_]:
    """Dilation of a Fortran-ordered array; right for every voxel at least one ball away from its faces."""
    row, plane = mask.shape[0], mask.shape[0] * mask.shape[1]
    flat = mask.reshape(-1, order="F")
    out = np.zeros_like(flat)
    line = flat.copy()  # dilated by `reach` along x
    reach = 0
    for dy, dz, wanted in sorted(runs, key=lambda run: run[2]):
        while reach < wanted:
            reach += 1
            _or_shifted(line, flat, reach)
            _or_shifted(line, flat, -reach)
        _or_shifted(out, line, dy * row + dz * plane)
        progress.check()
    return out.reshape(mask.shape, order="F")


def _or_shifted(out: NDArray[np.bool_], source: NDArray[np.bool_], offset: int) -> None:
    """out[i + offset] |= source[i] wherever both exist."""
    n = len(out)
    into = out[max(offset, 0) : n + min(offset, 0)]
    np.logical_or(into, source[max(-offset, 0) : n - max(offset, 0)], out=into)
