"""Measures a mask: volume and side of each kidney, and of each tumour with its longest diameter."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Box, separate_boxes
from kidneyseg.findings.components import Components, connected_components, label_components
from kidneyseg.findings.diameter import longest_diameter_mm
from kidneyseg.findings.sides import Midline, find_midline
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.objects import KIDNEY_SIZED_ML, LEAST_KIDNEY_ML

Side = Literal["left", "right"]

# A smaller tumour component (a ball of about 4 mm) is not listed; its voxels still count in the totals.
LEAST_TUMOUR_ML = 0.03

# A horseshoe kidney has at least this share of its tissue on either side of the midline, and is wider than any single
# kidney.
_HORSESHOE_SHARE = 0.2
_HORSESHOE_MM = 90.0

ORIENTATION_WRONG = "the header's orientation seems wrong"


@dataclass(frozen=True)
class KidneyFinding:
    """One kidney: its side if known, the volume of its tissue without tumour, and of the tumour on it, in mL."""

    side: Side | None
    ml: float
    tumour_ml: float


@dataclass(frozen=True)
class TumourFinding:
    """One connected tumour: the side it lies on if known, its volume in mL and its longest diameter in mm."""

    side: Side | None
    ml: float
    longest_mm: float


@dataclass(frozen=True)
class Findings:
    """What was found in a mask.

    Attributes:
        kidneys: right before left; only sides with at least LEAST_KIDNEY_ML of kidney and tumour together. With more
            than two kidney-sized components, or without a midline, one for each component of that volume.
        tumours: largest first; components of at least LEAST_TUMOUR_ML.
        kidney_ml: all kidney voxels of the mask, tumour not included.
        tumour_ml: all tumour voxels of the mask.
        horseshoe: the kidneys are joined across the midline; their volumes are then split at it.
        kidney_sized: connected components of at least 40 mL.
        side_unknown: why left and right are unknown; "" where they are known.
    """

    kidneys: tuple[KidneyFinding, ...]
    tumours: tuple[TumourFinding, ...]
    kidney_ml: float
    tumour_ml: float
    horseshoe: bool = False
    kidney_sized: int = 0
    side_unknown: str = ""

    def kidney(self, side: Side) -> KidneyFinding | None:
        """The (first) kidney of that side, None where none was found."""
        return next((kidney for kidney in self.kidneys if kidney.side == side), None)

    def sentences(self) -> tuple[str, ...]:
        """Sentences for the user on what is missing or unusual; none when both kidneys were found."""
        if not self.kidneys:
            return ("No kidneys were found in this scan, so the mask is empty or holds only small fragments.",)
        notes = []
        if self.kidney_sized > 2:
            notes.append(f"{self.kidney_sized} kidney-sized bodies were found. Does the file hold two scans?")
        if self.side_unknown:
            notes.append(f"No sides are given, since {self.side_unknown}; left and right cannot be verified.")
        elif self.horseshoe:
            notes.append("The kidneys are joined across the midline; their volumes are split there.")
        elif len({kidney.side for kidney in self.kidneys}) == 1:
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


def measure(mask: NDArray[np.uint8], volume: Volume, *, oriented: bool = True) -> Findings:
    """Measure kidneys and tumours.

    Each connected component of kidney and tumour belongs to the side of the patient's midline (see `find_midline`) on
    which its centre lies. A component that extends far to both sides is a horseshoe kidney and is split at the midline.
    A tumour has the side of the kidney it grows on.

    Args:
        mask: uint8 (X, Y, Z), 0, 1 kidney, 2 tumour, on the volume's voxels.
        volume: the CT; x grows to the patient's right.
        oriented: False when x may not do so, although the file says so: sides are then unknown.
    """
    parts = connected_components(mask)
    if not parts:
        return Findings((), (), 0.0, 0.0)
    ml = volume.voxel_ml
    profiles = np.concatenate([part.profiles for part in parts])
    x_mm = np.arange(0.5, len(mask)) * volume.spacing_mm[0]
    sizes = profiles.sum(axis=(1, 2))
    centres = profiles.sum(axis=1) @ x_mm / sizes
    midline = (
        find_midline(mask, volume, _around(parts), sizes * ml, centres)
        if oriented
        else Midline(None, ORIENTATION_WRONG)
    )
    middle, unknown = -np.inf if midline.mm is None else midline.mm, midline.unknown
    joined = _joined_across(profiles[:, KIDNEY], x_mm, middle)
    # Whether a component's voxels in each x lie on the right: (components, x).
    on_right = np.where(joined[:, None], x_mm > middle, (centres > middle)[:, None])
    kidney_sized = int(np.count_nonzero(sizes * ml >= KIDNEY_SIZED_ML))
    if kidney_sized > 2 or midline.mm is None:
        large = [i for i in np.argsort(-centres, kind="stable") if sizes[i] * ml >= LEAST_KIDNEY_ML]
        owners = [(bool(centres[i] > middle), np.arange(len(sizes))[:, None] == i) for i in large]
    else:
        owners = [(True, on_right), (False, ~on_right)]
    kidneys = (_kidney(profiles, own, ml, _side(right, unknown)) for right, own in owners)
    return Findings(
        kidneys=tuple(kidney for kidney in kidneys if kidney.ml + kidney.tumour_ml >= LEAST_KIDNEY_ML),
        tumours=_tumours(parts, on_right, volume, unknown),
        kidney_ml=float(profiles[:, KIDNEY].sum() * ml),
        tumour_ml=float(profiles[:, TUMOUR].sum() * ml),
        horseshoe=bool(joined.any()),
        kidney_sized=kidney_sized,
        side_unknown=unknown,
    )


def _around(parts: list[Components]) -> Box:
    """The box around all parts."""
    x, y, z = (
        slice(min(part.box[axis].start for part in parts), max(part.box[axis].stop for part in parts))
        for axis in range(3)
    )
    return x, y, z


def _kidney(profiles: NDArray[np.int64], own: NDArray[np.bool_], ml: float, side: Side | None) -> KidneyFinding:
    """What of the components' `profiles` is this kidney's `own` (components, x)."""
    tissue, tumour = (float((profiles[:, label] * own).sum() * ml) for label in (KIDNEY, TUMOUR))
    return KidneyFinding(side, tissue, tumour)


def _side(right: bool, unknown: str) -> Side | None:
    return None if unknown else "right" if right else "left"


def _tumours(
    parts: list[Components], on_right: NDArray[np.bool_], volume: Volume, unknown: str
) -> tuple[TumourFinding, ...]:
    """Each listed tumour component, largest first."""
    found = []
    before = 0  # components of the parts before
    for part in parts:
        tumour = part.labels == TUMOUR
        for box in separate_boxes(tumour):
            numbers, count = label_components(tumour[box])
            for number, where in enumerate(ndimage.find_objects(numbers, count), start=1):
                own = numbers[where] == number
                voxels = int(np.count_nonzero(own))
                if voxels * volume.voxel_ml < LEAST_TUMOUR_ML:
                    continue
                component = before + int(part.number[box][where][own][0]) - 1
                first = part.box[0].start + box[0].start + where[0].start
                right = np.count_nonzero(own, axis=(1, 2)) @ on_right[component, first : first + len(own)]
                diameter = longest_diameter_mm(own, volume.spacing_mm)
                side = _side(2 * int(right) > voxels, unknown)
                found.append(TumourFinding(side, float(voxels * volume.voxel_ml), diameter))
        before += len(part.profiles)
    return tuple(sorted(found, key=lambda one: -one.ml))


def _joined_across(profiles: NDArray[np.int64], x_mm: NDArray[np.float64], middle: float) -> NDArray[np.bool_]:
    """Which components, given their kidney voxels in each x (count, width), are horseshoe kidneys."""
    right = profiles[:, x_mm > middle].sum(axis=1) / np.maximum(profiles.sum(axis=1), 1)
    width = np.array([np.ptp(x_mm[used]) if used.any() else 0.0 for used in profiles > 0])
    return np.asarray((np.minimum(right, 1 - right) >= _HORSESHOE_SHARE) & (width >= _HORSESHOE_MM))
