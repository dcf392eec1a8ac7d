"""What a mask says, in figures a reader can check: mL per kidney, tumours with their longest diameter, sides."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from kidneyseg.imaging.volume import HU_WINDOW, Volume

Side = Literal["left", "right"]

KIDNEY_LABEL, TUMOUR_LABEL = 1, 2

# Less than this on one side is a false find, not a kidney: even a shrunken kidney holds 20 mL.
LEAST_KIDNEY_ML = 5.0

# A smaller tumour component (a ball of about 4 mm) is not listed; its voxels still count in the totals.
LEAST_TUMOUR_ML = 0.03

# A connected kidney with at least this share of its tissue on either side of the midline, and wider than any single
# kidney, is one joined across it.
_HORSESHOE_SHARE = 0.2
_HORSESHOE_MM = 90.0

# Two kidneys' centres are farther apart than this, left to right; pieces of one kidney are not.
_KIDNEYS_APART_MM = 60.0


@dataclass(frozen=True)
class Kidney:
    """One kidney: its side, the volume of its tissue without tumour, and that of the tumour on it, in mL."""

    side: Side
    ml: float
    tumour_ml: float


@dataclass(frozen=True)
class Tumour:
    """One connected tumour: the side it lies on, its volume in mL and its longest diameter in mm."""

    side: Side
    ml: float
    longest_mm: float


@dataclass(frozen=True)
class Findings:
    """What was found in a mask.

    Attributes:
        kidneys: right before left; only sides with at least LEAST_KIDNEY_ML of kidney and tumour together.
        tumours: largest first; components of at least LEAST_TUMOUR_ML.
        kidney_ml: all kidney voxels of the mask, tumour not included.
        tumour_ml: all tumour voxels of the mask.
        horseshoe: the kidneys are joined across the midline; their volumes are then split at it.
    """

    kidneys: tuple[Kidney, ...]
    tumours: tuple[Tumour, ...]
    kidney_ml: float
    tumour_ml: float
    horseshoe: bool = False

    def kidney(self, side: Side) -> Kidney | None:
        """The kidney of that side, None where none was found."""
        return next((kidney for kidney in self.kidneys if kidney.side == side), None)

    def sentences(self) -> tuple[str, ...]:
        """Plain sentences for a reader on what is missing or unusual; none when both kidneys were found."""
        if not self.kidneys:
            return ("No kidneys were found in this scan, so the mask is empty or holds only small specks.",)
        notes = []
        if self.horseshoe:
            notes.append("The kidneys are joined across the midline; their volumes are split there.")
        elif len(self.kidneys) == 1:
            side = self.kidneys[0].side
            notes.append(f"Only the {side} kidney was found; the {'left' if side == 'right' else 'right'} one was not.")
        return tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            **asdict(self),
            "kidneys": [asdict(k) for k in self.kidneys],
            "tumours": [asdict(t) for t in self.tumours],
        }


def measure(mask: NDArray[np.uint8], volume: Volume) -> Findings:
    """Measure kidneys and tumours.

    Each connected piece of kidney and tumour belongs to the side of the patient's midline that its centre lies on;
    the midline is the middle of the patient at the height of the kidneys. Where that would put two distant kidneys on
    one side (small field of view, scoliosis) the middle between them is taken. A piece that reaches well over the
    midline on both sides is a horseshoe kidney and is split there. A tumour has the side of the kidney it grows on.

    Args:
        mask: uint8 (X, Y, Z), 0, 1 kidney, 2 tumour, on the volume's voxels.
        volume: the CT; x grows to the patient's right.
    """
    ml = volume.voxel_ml
    box = _bounding_box(mask)
    if box is None:
        return Findings((), (), 0.0, 0.0)
    part = mask[box]
    pieces, count = ndimage.label(part > 0, np.ones((3, 3, 3)))
    profiles = _profiles(pieces, count)
    x_mm = (np.arange(part.shape[0]) + box[0].start + 0.5) * volume.spacing_mm[0]
    sizes = profiles.sum(axis=1)
    centres = profiles @ x_mm / sizes
    middle = _midline_mm(volume, box, sizes * ml, centres)
    joined = _joined_across(_profiles(np.where(part == KIDNEY_LABEL, pieces, 0), count), x_mm, middle)
    # Side of a voxel: that of its piece, or its own where the piece is split.
    is_right = np.concatenate([[False], centres > middle])[pieces]
    if joined.any():
        split = np.concatenate([[False], joined])[pieces]
        is_right = np.where(split, (x_mm > middle)[:, None, None], is_right)
    kidneys = []
    for side in ("right", "left"):
        own = is_right if side == "right" else ~is_right
        tissue, tumour = (float(np.count_nonzero(own & (part == label)) * ml) for label in (KIDNEY_LABEL, TUMOUR_LABEL))
        if tissue + tumour >= LEAST_KIDNEY_ML:
            kidneys.append(Kidney(side, tissue, tumour))
    return Findings(
        kidneys=tuple(kidneys),
        tumours=_tumours(part == TUMOUR_LABEL, is_right, volume),
        kidney_ml=float(np.count_nonzero(part == KIDNEY_LABEL) * ml),
        tumour_ml=float(np.count_nonzero(part == TUMOUR_LABEL) * ml),
        horseshoe=bool(joined.any()),
    )


def longest_diameter_mm(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> float:
    """The longest straight distance across a set of voxels, in mm; 0 for none.

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


def _tumours(tumour: NDArray[np.bool_], is_right: NDArray[np.bool_], volume: Volume) -> tuple[Tumour, ...]:
    """Each listed tumour component, largest first."""
    labels, _ = ndimage.label(tumour, np.ones((3, 3, 3)))
    found = []
    for label, where in enumerate(ndimage.find_objects(labels), start=1):
        own = labels[where] == label
        voxels = int(np.count_nonzero(own))
        if voxels * volume.voxel_ml >= LEAST_TUMOUR_ML:
            side: Side = "right" if 2 * np.count_nonzero(is_right[where] & own) > voxels else "left"
            diameter = longest_diameter_mm(own, volume.spacing_mm)
            found.append(Tumour(side, float(voxels * volume.voxel_ml), diameter))
    return tuple(sorted(found, key=lambda one: -one.ml))


def _midline_mm(
    volume: Volume, box: tuple[slice, slice, slice], piece_ml: NDArray[np.float64], centres: NDArray[np.float64]
) -> float:
    """Where along x, in mm from the volume's corner, the patient's left ends and the right begins."""
    large = np.flatnonzero(piece_ml >= LEAST_KIDNEY_ML)
    # Every few voxels are plenty for a centre; air is HU_WINDOW[0] or less.
    body = volume.hu[::4, ::4, box[2].start : box[2].stop : 2] > HU_WINDOW[0] + 5
    per_column = body.sum(axis=(1, 2), dtype=np.float64)
    extent = volume.shape[0] * volume.spacing_mm[0]
    columns = (np.arange(len(per_column)) * 4 + 0.5) * volume.spacing_mm[0]
    middle = float(per_column @ columns / per_column.sum()) if per_column.any() else extent / 2
    if len(large) >= 2:
        two = centres[large[np.argsort(piece_ml[large])[-2:]]]
        same_side = (two[0] > middle) == (two[1] > middle)
        if same_side and abs(two[0] - two[1]) >= _KIDNEYS_APART_MM:
            middle = float(two.mean())
    return middle


def _joined_across(profiles: NDArray[np.float64], x_mm: NDArray[np.float64], middle: float) -> NDArray[np.bool_]:
    """Which pieces, given their kidney voxels in each x (pieces, width), are kidneys joined across the midline."""
    right = profiles[:, x_mm > middle].sum(axis=1) / np.maximum(profiles.sum(axis=1), 1)
    width = np.array([np.ptp(x_mm[used]) if used.any() else 0.0 for used in profiles > 0])
    return np.asarray((np.minimum(right, 1 - right) >= _HORSESHOE_SHARE) & (width >= _HORSESHOE_MM))


def _profiles(pieces: NDArray[np.integer], count: int) -> NDArray[np.float64]:
    """Voxels of each piece 1 ... count in each x: float64 (count, width)."""
    return np.stack([np.bincount(plane.ravel(), minlength=count + 1)[1:] for plane in pieces], axis=1).astype(float)


def _bounding_box(mask: NDArray[np.uint8]) -> tuple[slice, slice, slice] | None:
    """The smallest box with all of the mask, None for an empty one."""
    # Two passes over slabs instead of three over the volume: z first, where a slice is contiguous.
    used_z = np.flatnonzero([mask[:, :, k].any() for k in range(mask.shape[2])])
    if len(used_z) == 0:
        return None
    z = slice(int(used_z[0]), int(used_z[-1]) + 1)
    flat = np.asarray(mask[:, :, z].any(axis=2))
    used_x, used_y = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    return slice(int(used_x[0]), int(used_x[-1]) + 1), slice(int(used_y[0]), int(used_y[-1]) + 1), z


def _hull_candidates(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Voxels (N, 3) that are first or last in their line along every axis; all corners of the hull are among them."""
    for axis in range(3):
        before = np.cumsum(mask, axis=axis, dtype=np.int32)
        total = np.take(before, [-1], axis=axis)
        mask = mask & ((before == 1) | (before == total))
    return np.argwhere(mask)
