"""The voxel in the middle of an object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Voxel


def central_voxel(own: NDArray[np.bool_], spacing_mm: Sequence[float]) -> Voxel:
    """The voxel of an object `own` (X, Y, Z), not empty, that lies nearest its centre of mass, in mm.

    The centre of mass of a C-shaped kidney may lie outside it; this voxel never does.
    """
    spacing = np.asarray(spacing_mm)
    plane = np.count_nonzero(own, axis=2)
    counts = plane.sum(axis=1), plane.sum(axis=0), np.count_nonzero(own, axis=(0, 1))
    middle = np.array([np.arange(len(count)) @ count for count in counts]) / plane.sum()
    radius = float(spacing.max())
    while True:
        low = np.maximum(np.ceil(middle - radius / spacing), 0).astype(int)
        high = np.floor(middle + radius / spacing).astype(int) + 1
        index = np.argwhere(own[tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))]) + low
        distance = np.linalg.norm((index - middle) * spacing, axis=1)
        if len(index) and distance.min() <= radius:  # nothing beyond the searched box is nearer
            x, y, z = index[distance.argmin()].tolist()
            return x, y, z
        radius *= 2
