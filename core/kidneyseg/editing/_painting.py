"""What the correcting tools share: checks of a gesture, and the voxels of a box that may be painted."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Box, Voxel
from kidneyseg.editing.change import Shape, Voxels
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.labels import CYST, TISSUE
from kidneyseg.imaging.volume import Volume

HURange = tuple[int, int]  # lowest and highest HU, both included

LABELS = frozenset(range(TISSUE, CYST + 1))
# Times a distance: what lies just at this distance counts as within it, whatever the rounding.
ON_EDGE = 1 + 1e-6


def check_target(label: object, over: AbstractSet[int] | None = None, hu_range: HURange | None = None) -> None:
    """Raise SettingsError for unknown labels, or a range whose end lies below its start."""
    for one in (label, *(over or ())):
        if isinstance(one, bool) or one not in LABELS:
            raise SettingsError(f"there is no label {one!r}; choose 0 nothing, 1 kidney, 2 tumour or 3 cyst")
    if hu_range is not None and not hu_range[0] <= hu_range[1]:
        raise SettingsError(f"the HU range must go from low to high, not from {hu_range[0]} to {hu_range[1]}")


def check_axis(axis: object) -> None:
    """Raise SettingsError unless the axis is 0, 1 or 2."""
    if isinstance(axis, bool) or axis not in (0, 1, 2):
        raise SettingsError(f"an axis must be 0, 1 or 2, not {axis!r}")


def check_labels(volume: Volume, labels: NDArray[np.uint8]) -> None:
    """Raise ValueError unless the labels are uint8 on the volume's voxels."""
    if labels.shape != volume.shape or labels.dtype != np.uint8:
        raise ValueError(f"uint8 labels of shape {volume.shape} are needed, not {labels.dtype} {labels.shape}")


def check_voxel(voxel: Voxel, shape: tuple[int, ...]) -> None:
    """Raise SettingsError for a voxel outside a volume of this shape."""
    if not all(0 <= i < n for i, n in zip(voxel, shape, strict=True)):
        raise SettingsError(f"the voxel {tuple(voxel)} lies outside the volume of {shape} voxels")


def clipped(low: NDArray[np.floating], high: NDArray[np.floating], shape: Shape) -> Box | None:
    """The voxels with centres from `low` to `high`, (3,) voxel coordinates; None where the volume has none of them."""
    start = np.maximum(np.ceil(low), 0).astype(int)
    stop = np.minimum(np.floor(high) + 1, shape).astype(int)
    if (start >= stop).any():
        return None
    x, y, z = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return x, y, z


def widened(box: Box, margin: int | NDArray[np.integer], shape: tuple[int, ...]) -> tuple[Box, Box]:
    """The box with a margin on every side, clipped to the volume; and where in it the box lies."""
    margins = np.broadcast_to(margin, 3)
    low = [max(side.start - int(m), 0) for side, m in zip(box, margins, strict=True)]
    high = [min(side.stop + int(m), n) for side, m, n in zip(box, margins, shape, strict=True)]
    x, y, z = (slice(a, b) for a, b in zip(low, high, strict=True))
    inner_x, inner_y, inner_z = (slice(s.start - a, s.stop - a) for s, a in zip(box, low, strict=True))
    return (x, y, z), (inner_x, inner_y, inner_z)


def paintable(label: int, over: AbstractSet[int] | None) -> NDArray[np.bool_]:
    """For each value of a label map, bool (256,), whether `label` may be painted over it; None means over all."""
    table = np.zeros(256, np.bool_)
    table[list(LABELS if over is None else over)] = True
    table[label] = False
    return table


def painted(
    volume: Volume,
    labels: NDArray[np.uint8],
    box: Box,
    inside: NDArray[np.bool_],
    label: int,
    over: AbstractSet[int] | None = None,
    hu_range: HURange | None = None,
) -> Voxels:
    """The voxels of a shape that take a new label.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), the present labels.
        box: where in the volume.
        inside: bool of the box's size, the shape. Fortran order is the fastest.
        label: the new label.
        over: labels that may be painted over; None for all.
        hu_range: HU that may be painted over; None for all.
    """
    z_y_x = box[::-1]  # transposed, x is the last axis: the order of memory and of flat indices
    chosen = inside.T & paintable(label, over)[labels.T[z_y_x]]
    if hu_range is not None:
        hu = volume.hu.T[z_y_x]
        chosen &= (hu >= hu_range[0]) & (hu <= hu_range[1])
    return Voxels.of_box(box, chosen.T, int(label), volume.shape)


def painted_at(
    volume: Volume,
    labels: NDArray[np.uint8],
    index: NDArray[np.uint32],
    label: int,
    over: AbstractSet[int] | None = None,
    hu_range: HURange | None = None,
) -> Voxels:
    """The same of voxels that are given by their ascending flat indices, uint32 (N,)."""
    at = index.astype(np.intp)  # else NumPy does so each time, and more slowly
    chosen = paintable(label, over)[labels.reshape(-1, order="F")[at]]
    if hu_range is not None:
        hu = volume.hu.reshape(-1, order="F")[at]
        chosen &= (hu >= hu_range[0]) & (hu <= hu_range[1])
    if not chosen.all():
        index = index[chosen]
    return Voxels(index, np.full(len(index), label, np.uint8))
