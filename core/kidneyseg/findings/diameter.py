"""The longest diameter of a set of voxels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray


def longest_diameter_mm(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> float:
    """The longest straight distance across a set of voxels (X, Y, Z), in mm; 0 for none.

    It is the exact largest distance between voxel centres, plus the extent of one voxel along that direction, since
    voxels are boxes and not points. A single voxel measures its longest edge.
    """
    from scipy.spatial import ConvexHull, QhullError, distance  # noqa: PLC0415 - most CTs have no tumour

    index = _hull_candidates(mask)
    if len(index) == 0:
        return 0.0
    spacing = np.asarray(spacing_mm, np.float64)
    points = index * spacing
    if len(points) > 500:
        with suppress(QhullError):  # all in one plane: few enough after thinning to compare each with each
            points = points[ConvexHull(points).vertices]
    if len(points) == 1:
        return float(spacing.max())
    distances = distance.pdist(points)
    longest = int(distances.argmax())
    # pdist lists the pairs (0, 1), (0, 2), ... (1, 2), ...: where those of each first point start.
    starts = np.concatenate([[0], np.cumsum(np.arange(len(points) - 1, 0, -1))])
    first = int(np.searchsorted(starts, longest, side="right")) - 1
    second = longest - int(starts[first]) + first + 1
    direction = np.abs(points[second] - points[first]) / distances[longest]
    return float(distances[longest] + direction @ spacing)


def _hull_candidates(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Voxels (N, 3) that are first or last in their line along every axis; all corners of the hull are among them."""
    z, y = np.nonzero(mask.T.any(axis=2))
    first, last = mask.T.argmax(axis=2), len(mask) - 1 - mask[::-1].T.argmax(axis=2)
    index = np.stack([np.concatenate([first[z, y], last[z, y]]), np.tile(y, 2), np.tile(z, 2)], axis=1)
    for axis in (1, 2):
        ends = np.empty((2, *np.delete(mask.shape, axis)), np.int64)
        ends[0], ends[1] = mask.shape[axis], -1
        line, at = tuple(np.delete(index, axis, axis=1).T), index[:, axis]
        np.minimum.at(ends[0], line, at)
        np.maximum.at(ends[1], line, at)
        index = index[(at == ends[0][line]) | (at == ends[1][line])]
    return np.unique(index, axis=0)
