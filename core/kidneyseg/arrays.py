"""Boxes around masks and around their separate parts, and dense arrays of cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]
Voxel = tuple[int, int, int]  # indices along x, y, z

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

_Value = TypeVar("_Value", bound=np.generic)


def bounding_box(mask: NDArray[np.generic], margin: int | Sequence[int] | NDArray[np.integer] = 0) -> Box | None:
    """The smallest box around the non-zero elements of a 3-D array.

    Args:
        mask: (X, Y, Z). The axis that is slowest in memory is searched first, so that most of the array is read once.
        margin: elements to add on every side, one number or one per axis; the box is clipped to the array.

    Returns:
        Slices along X, Y, Z; None when all elements are zero.
    """
    slowest, *others = sorted(range(3), key=lambda i: -abs(mask.strides[i]))
    box, shape = [slice(None)] * 3, mask.shape
    for axis in (slowest, *others):
        used = _used_planes(mask, axis)
        if len(used) == 0:
            return None
        box[axis] = slice(int(used[0]), int(used[-1]) + 1)
        if axis == slowest:  # from here on, one plane that holds every used line
            mask = np.any(mask[tuple(box)], axis=slowest, keepdims=True)
    margins = np.broadcast_to(margin, 3)
    x, y, z = (
        slice(max(side.start - int(m), 0), min(side.stop + int(m), n))
        for side, m, n in zip(box, margins, shape, strict=True)
    )
    return x, y, z


def box_around(first: Box, *others: Box | None) -> Box:
    """The smallest box that holds these; None holds nothing."""
    boxes = (first, *(box for box in others if box is not None))
    x, y, z = (slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*boxes, strict=True))
    return x, y, z


def separate_boxes(mask: NDArray[np.generic], gap: int | Sequence[int] | NDArray[np.integer] = 1) -> list[Box]:
    """Boxes that together hold all non-zero elements of a 3-D array, with empty planes between any two.

    Connected objects are never divided. Two that no empty plane separates share a box.

    Args:
        mask: (X, Y, Z).
        gap: at least so many empty planes, one number or one per axis, lie between two boxes along some axis.

    Returns:
        Slices along X, Y, Z of each box, each the smallest around its elements.
    """
    gaps = np.broadcast_to(gap, 3).tolist()
    slowest, *others = sorted(range(3), key=lambda i: -abs(mask.strides[i]))
    x, y, z = mask.shape
    waiting: list[Box] = [(slice(0, x), slice(0, y), slice(0, z))]
    boxes = []
    while waiting:
        box = waiting.pop()
        for axis in (slowest, *others):
            if axis == others[0]:  # all lines along the slowest axis at once
                plane = np.any(mask[box], axis=slowest, keepdims=True)
            part = mask[box] if axis == slowest else plane
            parts = _used_parts(part, axis, box[axis].start, gaps[axis])
            if len(parts) != 1:
                waiting += [_with_side(box, axis, one) for one in reversed(parts)]
                break
            box = _with_side(box, axis, parts[0])
        else:
            boxes.append(box)
    return boxes


def _used_parts(part: NDArray[np.generic], axis: int, start: int, gap: int) -> list[slice]:
    """Where `part`, which begins at `start` along `axis`, is not empty, with at least `gap` empty planes between."""
    used = _used_planes(part, axis) + start
    if len(used) == 0:
        return []
    cuts = np.flatnonzero(np.diff(used) > gap)
    firsts, lasts = used[[0, *(cuts + 1)]], used[[*cuts, -1]] + 1
    return [slice(first, last) for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)]


def _used_planes(part: NDArray[np.generic], axis: int) -> NDArray[np.intp]:
    """Indices along `axis` of the planes that are not empty."""
    others = tuple(i for i in range(3) if i != axis)
    if part.dtype.itemsize == 1:  # the largest byte is found twice as fast as any that is not 0
        return np.flatnonzero(part.view(np.uint8).max(axis=others, initial=0))
    return np.flatnonzero(part.any(axis=others))


def _with_side(box: Box, axis: int, side: slice) -> Box:
    x, y, z = (side if i == axis else old for i, old in enumerate(box))
    return x, y, z


def slices(low: Iterable[int], high: Iterable[int]) -> tuple[slice, ...]:
    """The box of the elements from `low` on, `high` excluded, along each axis."""
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def times(sizes: Sequence[float]) -> str:
    """Sizes along x, y, z as text, e.g. "512 x 512 x 600"."""
    return " x ".join(f"{size:.6g}" for size in sizes)


def dense_mask(
    cells: NDArray[np.integer], margin: int | NDArray[np.integer] = 0
) -> tuple[NDArray[np.bool_], NDArray[np.integer]]:
    """A dense mask of the given cells over their bounding box: `dense_array` of True."""
    return dense_array(cells, np.ones(len(cells), np.bool_), margin)


def dense_array(
    cells: NDArray[np.integer], values: NDArray[_Value], margin: int | NDArray[np.integer] = 0
) -> tuple[NDArray[_Value], NDArray[np.integer]]:
    """A dense array of the given cells over their bounding box.

    Args:
        cells: (N, 3) integer indices, N >= 1.
        values: (N,), of the cells.
        margin: empty cells to add on every side, one number or one per axis.

    Returns:
        (X, Y, Z), the values at the cells and 0 elsewhere, and the (N, 3) indices of the cells in it.
    """
    local = cells - cells.min(axis=0) + margin
    dense = np.zeros(local.max(axis=0) + 1 + margin, values.dtype)
    dense[tuple(local.T)] = values
    return dense, local
