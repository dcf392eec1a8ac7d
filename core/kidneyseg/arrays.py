"""Bounding boxes of masks, and dense masks of cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]

# Arrays by their use and type.
HU = NDArray[np.int16]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]
Rng = np.random.Generator
Range = tuple[float, float]  # lowest and highest of a random number
Spacing = tuple[float, float, float]  # voxel edge lengths in mm


def bounding_box(mask: NDArray[np.generic], margin: int | Sequence[int] | NDArray[np.integer] = 0) -> Box | None:
    """The smallest box around the non-zero elements of a 3-D array.

    Args:
        mask: (X, Y, Z). The axis that is slowest in memory is searched first, so that most of the array is read once.
        margin: elements to add on every side, one number or one per axis; the box is clipped to the array.

    Returns:
        Slices along X, Y, Z; None when all elements are zero.
    """
    box = [slice(None)] * 3
    for axis in sorted(range(3), key=lambda i: -abs(mask.strides[i])):
        used = np.flatnonzero(mask[tuple(box)].any(axis=tuple(i for i in range(3) if i != axis)))
        if len(used) == 0:
            return None
        box[axis] = slice(int(used[0]), int(used[-1]) + 1)
    margins = np.broadcast_to(margin, 3)
    x, y, z = (
        slice(max(side.start - int(m), 0), min(side.stop + int(m), n))
        for side, m, n in zip(box, margins, mask.shape, strict=True)
    )
    return x, y, z


def slices(low: Iterable[int], high: Iterable[int]) -> tuple[slice, ...]:
    """The box of the elements from `low` on, `high` excluded, along each axis."""
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def dense_mask(
    cells: NDArray[np.integer], margin: int | NDArray[np.integer] = 0
) -> tuple[NDArray[np.bool_], NDArray[np.integer]]:
    """A dense mask of the given cells over their bounding box.

    Args:
        cells: (N, 3) integer indices, N >= 1.
        margin: empty cells to add on every side, one number or one per axis.

    Returns:
        bool (X, Y, Z), True at the cells, and the (N, 3) indices of the cells in it.
    """
    local = cells - cells.min(axis=0) + margin
    dense = np.zeros(local.max(axis=0) + 1 + margin, np.bool_)
    dense[tuple(local.T)] = True
    return dense, local
