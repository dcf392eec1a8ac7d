"""Fills the slices between drawn ones: shape-based interpolation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import bounding_box
from kidneyseg.editing._painting import check_axis, check_labels, check_target, painted
from kidneyseg.editing.change import Voxels
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.labels import TISSUE
from kidneyseg.imaging.volume import Volume


def interpolate_slices(
    volume: Volume,
    labels: NDArray[np.uint8],
    axis: int,
    label: int,
    drawn: Sequence[int] | None = None,
    *,
    over: AbstractSet[int] | None = None,
) -> Voxels:
    """Fill a label in the slices between drawn ones; what the slices between hold of it already stays.

    The distance in mm from the label's outline, positive inside, is interpolated linearly from one drawn slice to the
    next (Raya and Udupa, Shape-based interpolation of multidimensional objects, IEEE TMI 1990). Outlines that do not
    overlap are hardly joined: draw a slice between them.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), the present labels.
        axis: across which the slices lie, 0, 1 or 2.
        label: what is filled.
        drawn: indices of the drawn slices in any order, at least two; None for all that hold the label.
        over: the labels that may be painted over; None for all.

    Raises:
        SettingsError: for an unknown label or axis, fewer than two drawn slices, or one without the label.
    """
    check_labels(volume, labels)
    check_target(label, over)
    check_axis(axis)
    if label == TISSUE:
        raise SettingsError("label 0 cannot be interpolated; choose 1 kidney, 2 tumour or 3 cyst")
    slices = _holding(labels, axis, label) if drawn is None else sorted(set(drawn))
    if drawn is not None:
        _check_drawn(labels, axis, label, slices)
    parts = [
        _between(volume, labels, axis, label, low, high, over)
        for low, high in itertools.pairwise(slices)
        if high - low > 1
    ]
    if not parts:
        return Voxels.none()
    index = np.concatenate([part.index for part in parts])
    index.sort()  # across x and y the slices lie interleaved in memory
    return Voxels(index, np.full(len(index), label, np.uint8))


def _holding(labels: NDArray[np.uint8], axis: int, label: int) -> list[int]:
    """Indices of the slices that hold a label."""
    box = bounding_box(labels)
    if box is None:
        return []
    others = tuple(other for other in range(3) if other != axis)
    return [box[axis].start + int(i) for i in np.flatnonzero((labels[box] == label).any(axis=others))]


def _check_drawn(labels: NDArray[np.uint8], axis: int, label: int, drawn: Sequence[int]) -> None:
    if len(drawn) < 2:
        raise SettingsError("interpolation needs at least two drawn slices; draw another one")
    for index in drawn:
        if not 0 <= index < labels.shape[axis]:
            raise SettingsError(f"slice {index} lies outside the volume, whose last slice is {labels.shape[axis] - 1}")
        if not (_plane(labels, axis, index) == label).any():
            raise SettingsError(f"slice {index} holds nothing of label {label}; draw it there first")


def _plane(labels: NDArray[np.uint8], axis: int, index: int) -> NDArray[np.uint8]:
    """A view of one slice; `take` would copy the whole volume when its last axis is the slowest in memory."""
    plane: NDArray[np.uint8] = np.moveaxis(labels, axis, 0)[index]
    return plane


def _between(
    volume: Volume,
    labels: NDArray[np.uint8],
    axis: int,
    label: int,
    low: int,
    high: int,
    over: AbstractSet[int] | None,
) -> Voxels:
    """The voxels that the label gains between two slices."""
    planes = np.stack([_plane(labels, axis, index) == label for index in (low, high)], axis)
    # What is interpolated lies within the bounding box of both outlines.
    within = bounding_box(planes)
    assert within is not None  # both slices hold the label
    spacing = np.delete(np.asarray(volume.spacing_mm), axis)
    first, last = (_depth_mm(plane, spacing) for plane in np.moveaxis(planes[within], axis, 0))
    share = np.arange(1, high - low) / (high - low)
    inside = (1 - share)[:, None, None] * first + share[:, None, None] * last > 0
    sides = list(within)
    sides[axis] = slice(low + 1, high)
    x, y, z = sides
    return painted(volume, labels, (x, y, z), np.moveaxis(inside, 0, axis), label, over)


def _depth_mm(plane: NDArray[np.bool_], spacing: NDArray[np.floating]) -> NDArray[np.floating]:
    """Distance in mm of each position from the nearest outside, less that from the nearest inside; (A, B)."""
    framed = np.pad(plane, 1)  # beyond the volume is outside
    depth = ndimage.distance_transform_edt(framed, sampling=spacing)
    depth -= ndimage.distance_transform_edt(~framed, sampling=spacing)
    inner: NDArray[np.floating] = depth[1:-1, 1:-1]
    return inner
