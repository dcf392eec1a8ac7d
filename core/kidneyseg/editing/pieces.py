"""Connected pieces of a mask: found from a voxel, relabelled, deleted, or kept alone.

Voxels that share a face, an edge or a corner are connected.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Box, Voxel, bounding_box
from kidneyseg.editing._painting import check_labels, check_target, check_voxel, widened
from kidneyseg.editing.change import Voxels
from kidneyseg.imaging.labels import KIDNEY, TISSUE
from kidneyseg.imaging.volume import Volume

_CONNECTED = np.ones((3, 3, 3), np.bool_)
_LEAST_STEP = 8  # voxels by which the searched box grows


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected piece of a mask."""

    box: Box  #: the smallest box around it
    inside: NDArray[np.bool_]  #: bool of the box's size, its voxels


def piece_at(labels: NDArray[np.uint8], voxel: Voxel, *, together: bool = False) -> Piece | None:
    """The connected piece that a voxel lies in.

    The search takes place in a box that grows from the voxel: its time depends on the piece, not on the volume.

    Args:
        labels: uint8 (X, Y, Z).
        voxel: indices along x, y, z.
        together: all labels but 0 count as one, as a kidney with its tumours and cysts. Otherwise the piece is of the
            voxel's label.

    Returns:
        The piece, None where the voxel's label is 0.

    Raises:
        SettingsError: for a voxel outside the volume.
    """
    check_voxel(voxel, labels.shape)
    label = labels[tuple(voxel)]
    if label == TISSUE:
        return None
    region = _region_around(labels, voxel, label, together)
    part = labels.T[region[::-1]]
    numbers, _ = ndimage.label(part > 0 if together else part == label, _CONNECTED)
    seed = tuple(i - side.start for i, side in zip(voxel, region, strict=True))
    inside = (numbers == numbers[seed[::-1]]).T
    within = bounding_box(inside)
    assert within is not None  # the voxel itself
    x, y, z = (slice(side.start + low.start, side.stop + low.start) for side, low in zip(within, region, strict=True))
    return Piece((x, y, z), inside[within])


def _region_around(labels: NDArray[np.uint8], voxel: Voxel, label: np.uint8, together: bool) -> Box:
    """A box around the voxel that the label does not leave: its outermost slices are free of it, or the volume's."""
    low, high = list(voxel), [i + 1 for i in voxel]
    grows = True
    while grows:
        grows = False
        for axis, at_end in itertools.product(range(3), (False, True)):
            outermost, last = (high[axis] - 1, labels.shape[axis] - 1) if at_end else (low[axis], 0)
            sides = [slice(a, b) for a, b in zip(low, high, strict=True)]
            sides[axis] = slice(outermost, outermost + 1)
            face = labels[tuple(sides)]
            if outermost == last or not (face > 0 if together else face == label).any():
                continue
            grows = True
            step = max(_LEAST_STEP, (high[axis] - low[axis]) // 4)
            if at_end:
                high[axis] = min(high[axis] + step, labels.shape[axis])
            else:
                low[axis] = max(low[axis] - step, 0)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return x, y, z


def pieces_of(labels: NDArray[np.uint8], label: int | None) -> list[Piece]:
    """All connected pieces of a label; with None, of all labels but 0 together."""
    whole = bounding_box(labels)
    if whole is None:
        return []
    part = labels[whole]
    numbers, _ = ndimage.label((part > 0 if label is None else part == label).T, _CONNECTED)
    pieces = []
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        x, y, z = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(box[::-1], whole, strict=True))
        pieces.append(Piece((x, y, z), (numbers[box] == number).T))
    return pieces


def relabel_piece(
    volume: Volume, labels: NDArray[np.uint8], voxel: Voxel, label: int, *, together: bool = False
) -> Voxels:
    """Give the piece at a voxel another label, 0 to delete it. Nothing changes where the voxel's label is 0.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), the present labels.
        voxel: indices along x, y, z.
        label: the new label.
        together: see `piece_at`.

    Raises:
        SettingsError: for an unknown label, or a voxel outside the volume.
    """
    check_labels(volume, labels)
    check_target(label)
    piece = piece_at(labels, voxel, together=together)
    if piece is None:
        return Voxels.none()
    return Voxels.of_box(piece.box, piece.inside & (labels[piece.box] != label), int(label), volume.shape)


def keep_only_piece(volume: Volume, labels: NDArray[np.uint8], voxel: Voxel, *, together: bool = False) -> Voxels:
    """Remove all pieces of the voxel's label but the one at the voxel.

    A removed tumour or cyst becomes kidney where most of its border lies on kidney, and else 0. Nothing changes where
    the voxel's label is 0.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), the present labels.
        voxel: indices along x, y, z.
        together: pieces of all labels but 0 together are compared, and the others removed with all their labels.

    Raises:
        SettingsError: for a voxel outside the volume.
    """
    check_labels(volume, labels)
    kept = piece_at(labels, voxel, together=together)
    whole = bounding_box(labels)
    if kept is None or whole is None:
        return Voxels.none()
    label = int(labels[tuple(voxel)])
    removed = labels[whole] > 0 if together else labels[whole] == label
    x, y, z = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(kept.box, whole, strict=True))
    removed[x, y, z] &= ~kept.inside
    if together or label == KIDNEY:
        return Voxels.of_box(whole, removed, TISSUE, volume.shape)
    return Voxels.of_box(whole, removed, _left_behind(labels[whole], removed), volume.shape)


def _left_behind(part: NDArray[np.uint8], removed: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """KIDNEY at the removed pieces that border mostly on it, else 0: uint8 of the size of `part`."""
    result = np.zeros(part.shape, np.uint8, order="F")
    within = bounding_box(removed, margin=1)
    if within is None:
        return result
    numbers, _ = ndimage.label(removed[within], _CONNECTED)
    part, inner = part[within], result[within]
    for number, (x, y, z) in enumerate(ndimage.find_objects(numbers), start=1):
        around, _ = widened((x, y, z), 1, part.shape)
        own = numbers[around] == number
        border = ndimage.binary_dilation(own, _CONNECTED) & ~own
        if 2 * np.count_nonzero(part[around][border] == KIDNEY) > np.count_nonzero(border):
            inner[around][own] = KIDNEY
    return result
