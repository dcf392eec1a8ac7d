"""Changes of a label's shape: holes filled, surface smoothed, grown or shrunk by mm. Each works on one piece or on all.

A voxel that a tumour or cyst loses becomes kidney where kidney is what lies nearest, and else 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Box, Voxel
from kidneyseg.editing._painting import ON_EDGE, check_labels, check_target, paintable, widened
from kidneyseg.editing.change import Voxels
from kidneyseg.editing.pieces import Piece, piece_at, pieces_of
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.labels import KIDNEY, TISSUE
from kidneyseg.imaging.volume import Volume
from kidneyseg.settings import check_number

_BACKGROUND = frozenset({TISSUE})
_BACKGROUND_AND_KIDNEY = frozenset({TISSUE, KIDNEY})
_MOST_SMOOTHING_MM, _MOST_GROWTH_MM = 20, 50
# The Gaussian is cut off at this many standard deviations.
_TRUNCATE = 3.0


def fill_holes(
    volume: Volume,
    labels: NDArray[np.uint8],
    label: int,
    where: Box | Voxel | None = None,
    *,
    over: AbstractSet[int] | None = _BACKGROUND,
    in_slices: bool = True,
) -> Voxels:
    """Fill the holes of a label. A hole holds only labels in `over`, is enclosed by others, and borders the label.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), the present labels.
        label: whose holes are filled.
        where: a box (slices along x, y, z), where a hole that reaches the box's side is open; a voxel (indices), for
            the kidney with its tumours and cysts at this voxel; or None for all.
        over: the labels that a hole may hold; None for all. By default only 0: a tumour is no hole of a kidney.
        in_slices: fill also what is enclosed within a slice (across the volume's `slice_axis`) and open only to the
            slices beside it. This takes in the renal sinus wherever kidney surrounds it.

    Raises:
        SettingsError: for an unknown label or 0, or a voxel outside the volume.
    """
    check_labels(volume, labels)
    _check_structure(label, over)
    if where is None:
        boxes = [piece.box for piece in pieces_of(labels, None)]
    elif isinstance(where[0], slice):
        boxes = [where]
    else:
        piece = piece_at(labels, where, together=True)
        boxes = [] if piece is None else [piece.box]
    # Two voxels of a hole are connected by a face; within a slice, by a face in the slice.
    across = volume.slice_axis if in_slices else None
    faces = ndimage.generate_binary_structure(3, 1)
    if across is not None:
        faces &= np.indices(faces.shape)[across] == 1
    found = []
    for box in boxes:
        part = labels[box]
        numbers, count = ndimage.label(paintable(label, over)[part], faces)
        filled = np.zeros(count + 1, np.bool_)
        filled[numbers[ndimage.binary_dilation(part == label, faces)]] = True
        for axis in set(range(3)) - {across}:
            for end in (0, -1):
                filled[np.moveaxis(numbers, axis, 0)[end]] = False
        filled[0] = False
        found.append(Voxels.of_box(box, filled[numbers], int(label), volume.shape))
    return _united(found)


def smooth(
    volume: Volume,
    labels: NDArray[np.uint8],
    label: int,
    mm: float,
    voxel: Voxel | None = None,
    *,
    over: AbstractSet[int] | None = _BACKGROUND_AND_KIDNEY,
) -> Voxels:
    """Smooth the surface of a label by a Gaussian; the volume of each piece stays the same.

    The threshold on the blurred piece is chosen so that as many voxels lie above it as the piece had. Voxels of labels
    that are not in `over` keep them and have no influence: a kidney stays closed around its tumour.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), the present labels.
        label: what is smoothed.
        mm: standard deviation of the Gaussian, above 0 and at most 20.
        voxel: indices of a voxel of the piece to be smoothed; None for all pieces. Nothing changes where the voxel has
            another label.
        over: the labels that may be painted over; None for all. By default 0 and kidney.

    Raises:
        SettingsError: for an unknown label or 0, a width outside its range, or a voxel outside the volume.
    """
    check_labels(volume, labels)
    _check_structure(label, over)
    check_number("smoothing", mm, 0, _MOST_SMOOTHING_MM, unit=" mm", above=True)
    sigma = mm / np.asarray(volume.spacing_mm)
    found = []
    for piece in _pieces(labels, label, voxel):
        box, inner = widened(piece.box, np.ceil(_TRUNCATE * sigma).astype(int), labels.shape)
        part = labels[box]
        own = np.zeros(part.shape, np.bool_, order="F")
        own[inner] = piece.inside
        free = own | paintable(label, over)[part]
        blurred = _blurred(own, sigma)
        if not free.all():
            # The mean over the free voxels alone. 1e-6: far from all of them it is 0 / 0.
            blurred /= np.maximum(_blurred(free, sigma), 1e-6)
        values = blurred[free]
        rank = len(values) - int(np.count_nonzero(own))
        smoothed = free & (blurred >= np.partition(values, rank)[rank])
        found += _exchanged(part, box, own, smoothed, label, volume)
    return _united(found)


def grow(
    volume: Volume,
    labels: NDArray[np.uint8],
    label: int,
    mm: float,
    voxel: Voxel | None = None,
    *,
    over: AbstractSet[int] | None = _BACKGROUND,
) -> Voxels:
    """Grow a label by mm on all sides, or shrink it by a negative number.

    A label grows by the voxels whose centres are at most `mm` from the centre of one of its own. It shrinks by its
    voxels that are as near to one of another label; a kidney only from 0, so that no gap opens around its tumour.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), the present labels.
        label: what grows.
        mm: -50 to 50.
        voxel: indices of a voxel of the piece that grows; None for all pieces. Nothing changes where the voxel has
            another label.
        over: the labels that a growing label may be painted over; None for all. By default only 0.

    Raises:
        SettingsError: for an unknown label or 0, a distance outside its range, or a voxel outside the volume.
    """
    check_labels(volume, labels)
    _check_structure(label, over)
    check_number("growth", mm, -_MOST_GROWTH_MM, _MOST_GROWTH_MM, unit=" mm")
    spacing = np.asarray(volume.spacing_mm)
    reach_mm = abs(mm) * ON_EDGE
    found = []
    for piece in _pieces(labels, label, voxel):
        box, inner = widened(piece.box, np.floor(reach_mm / spacing).astype(int) + 1, labels.shape)
        part = labels[box]
        own = np.zeros(part.shape, np.bool_, order="F")
        own[inner] = piece.inside
        if mm > 0:
            near = ndimage.distance_transform_edt(~own, sampling=spacing) <= reach_mm
            changed = own | (near & paintable(label, over)[part])
        else:
            solid = part > 0 if label == KIDNEY else part == label
            changed = own & (_depth_mm(solid, spacing) > reach_mm)
        found += _exchanged(part, box, own, changed, label, volume)
    return _united(found)


def _check_structure(label: int, over: AbstractSet[int] | None) -> None:
    """Raise SettingsError for unknown labels, and for 0, which has no shape."""
    check_target(label, over)
    if label == TISSUE:
        raise SettingsError("label 0 has no shape to change; choose 1 kidney, 2 tumour or 3 cyst")


def _pieces(labels: NDArray[np.uint8], label: int, voxel: Voxel | None) -> list[Piece]:
    """All pieces of a label, or that at a voxel if it has this label."""
    if voxel is None:
        return pieces_of(labels, label)
    piece = piece_at(labels, voxel)
    return [piece] if piece is not None and labels[tuple(voxel)] == label else []


def _blurred(mask: NDArray[np.bool_], sigma: NDArray[np.floating]) -> NDArray[np.float32]:
    """A mask under a Gaussian of `sigma` voxels along each axis, float32; beyond the array its last voxels go on."""
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(
        mask.astype(np.float32), sigma, mode="nearest", truncate=_TRUNCATE
    )
    return blurred


def _depth_mm(solid: NDArray[np.bool_], spacing: NDArray[np.floating]) -> NDArray[np.floating]:
    """Distance of each solid voxel from the nearest that is not, in mm; infinite where all are."""
    if solid.all():
        return np.full(solid.shape, np.inf)
    depth: NDArray[np.floating] = ndimage.distance_transform_edt(solid, sampling=spacing)
    return depth


def _exchanged(
    part: NDArray[np.uint8],
    box: Box,
    own: NDArray[np.bool_],
    changed: NDArray[np.bool_],
    label: int,
    volume: Volume,
) -> list[Voxels]:
    """The voxels of a box that a piece `own` gains and loses on becoming `changed`."""
    lost = own & ~changed
    gained = Voxels.of_box(box, changed & ~own, int(label), volume.shape)
    if not lost.any():
        return [gained]
    below = np.full(part.shape, TISSUE, np.uint8, order="F")
    if label != KIDNEY and (part == KIDNEY).any() and not (part == label).all():
        nearest = ndimage.distance_transform_edt(
            part == label, sampling=volume.spacing_mm, return_distances=False, return_indices=True
        )
        kidney = part[tuple(axis[lost] for axis in nearest)] == KIDNEY
        below[lost] = np.where(kidney, KIDNEY, TISSUE)
    return [gained, Voxels.of_box(box, lost, below, volume.shape)]


def _united(parts: Sequence[Voxels]) -> Voxels:
    """The voxels that several pieces gain and lose; what two of them gain is given once."""
    if not parts:
        return Voxels.none()
    index, first = np.unique(np.concatenate([part.index for part in parts]), return_index=True)
    return Voxels(index, np.concatenate([part.labels for part in parts])[first])
