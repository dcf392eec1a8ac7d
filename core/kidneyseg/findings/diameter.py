"""The longest diameter of a set of voxels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist


def longest_diameter_mm(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> float:
    """The longest straight distance across a set of voxels (X, Y, Z), in mm; 0 for none.

    It is the exact largest distance between voxel centres, plus the extent of one voxel along that direction, since
    voxels are boxes and not points. A single voxel measures its longest edge.
    """
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
    distances = pdist(points)
    longest = int(distances.argmax())
    first, second = (int(rows[longest]) for rows in np.triu_indices(len(points), 1))
    direction = np.abs(points[second] - points[first]) / distances[longest]
    return float(distances[longest] + direction @ spacing)


def _hull_candidates(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Voxels (N, 3) that are first or last in their line along every axis; all corners of the hull are among them."""
    for axis in range(3):
        before = np.cumsum(mask, axis=axis, dtype=np.int32)
        total = np.take(before, [-1], axis=axis)
        mask = mask & ((before == 1) | (before == total))
    return np.argwhere(mask)
