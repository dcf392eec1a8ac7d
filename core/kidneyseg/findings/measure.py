"""Measures a mask: volume and side of each kidney, and of each tumour and cyst with its longest diameter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Box, Voxel, box_around, separate_boxes
from kidneyseg.findings.centre import central_voxel
from kidneyseg.findings.components import Components, connected_components, label_components
from kidneyseg.findings.contact import kidney_contact
from kidneyseg.findings.diameter import longest_diameter_mm
from kidneyseg.findings.flags import flags
from kidneyseg.findings.records import CystFinding, Findings, KidneyFinding, Side, TumourFinding
from kidneyseg.findings.sides import Midline, find_midline
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.objects import KIDNEY_SIZED_ML, LEAST_KIDNEY_ML

# A smaller tumour or cyst (a ball of about 4 mm) is not listed; its voxels still count in the totals.
LEAST_TUMOUR_ML = 0.03

# A horseshoe kidney has at least this share of its tissue on either side of the midline, and is wider than any single
# kidney.
_HORSESHOE_SHARE = 0.2
_HORSESHOE_MM = 90.0

ORIENTATION_WRONG = "the header's orientation seems wrong"


class _Lesion(NamedTuple):
    """A connected tumour or cyst; attributes as of a `TumourFinding`."""

    side: Side | None
    ml: float
    longest_mm: float
    centre: Voxel
    kidney_contact: float


def measure(mask: NDArray[np.uint8], volume: Volume, *, oriented: bool = True) -> Findings:
    """Measure kidneys, tumours and cysts.

    Each connected component of kidney, tumour and cyst belongs to the side of the patient's midline (see
    `find_midline`) on which its centre lies. A component that extends far to both sides is a horseshoe kidney and is
    split at the midline. A tumour or a cyst has the side of the kidney it grows on.

    Args:
        mask: uint8 (X, Y, Z), 0, 1 kidney, 2 tumour, 3 cyst, on the volume's voxels.
        volume: the CT; x grows to the patient's right.
        oriented: False when x may not do so, although the file says so: sides are then unknown.
    """
    parts = connected_components(mask)
    if not parts:
        return Findings((), (), 0.0, 0.0)
    ml = volume.voxel_ml
    profiles = np.concatenate([part.profiles for part in parts])
    x_mm = np.arange(0.5, len(mask)) * volume.spacing_mm[0]
    centres = profiles.sum(axis=1) @ x_mm / profiles.sum(axis=(1, 2))
    solid_ml = profiles[:, (KIDNEY, TUMOUR)].sum(axis=(1, 2)) * ml
    midline = Midline(None, ORIENTATION_WRONG)
    if oriented:
        midline = find_midline(mask, volume, box_around(*(part.box for part in parts)), solid_ml, centres)
    middle, unknown = -np.inf if midline.mm is None else midline.mm, midline.unknown
    joined = _joined_across(profiles[:, KIDNEY], x_mm, middle)
    # Whether a component's voxels in each x lie on the right: (components, x).
    on_right = np.where(joined[:, None], x_mm > middle, (centres > middle)[:, None])
    kidney_sized = int(np.count_nonzero(solid_ml >= KIDNEY_SIZED_ML))
    if kidney_sized > 2 or midline.mm is None:
        large = [i for i in np.argsort(-centres, kind="stable") if solid_ml[i] >= LEAST_KIDNEY_ML]
        owners = [(bool(centres[i] > middle), np.arange(len(centres))[:, None] == i) for i in large]
    else:
        owners = [(True, on_right), (False, ~on_right)]
    kidneys = (_kidney(parts, np.broadcast_to(own, on_right.shape), volume, _side(r, unknown)) for r, own in owners)
    findings = Findings(
        kidneys=tuple(kidney for kidney in kidneys if kidney is not None),
        tumours=tuple(TumourFinding(*one) for one in _lesions(TUMOUR, parts, on_right, volume, unknown)),
        kidney_ml=float(profiles[:, KIDNEY].sum() * ml),
        tumour_ml=float(profiles[:, TUMOUR].sum() * ml),
        horseshoe=bool(joined.any()),
        kidney_sized=kidney_sized,
        side_unknown=unknown,
        cysts=tuple(CystFinding(*one[:4]) for one in _lesions(CYST, parts, on_right, volume, unknown)),
        cyst_ml=float(profiles[:, CYST].sum() * ml),
    )
    return replace(findings, flags=flags(findings, mask, parts, volume))


def _kidney(parts: list[Components], own: NDArray[np.bool_], volume: Volume, side: Side | None) -> KidneyFinding | None:
    """The kidney that owns `own` (components, x), None if it has too little of kidney and tumour."""
    voxels = np.concatenate([part.profiles for part in parts]) * own[:, None]
    tissue, tumour = (float(voxels[:, label].sum() * volume.voxel_ml) for label in (KIDNEY, TUMOUR))
    if tissue + tumour < LEAST_KIDNEY_ML:
        return None
    label = KIDNEY if tissue else TUMOUR
    component = largest = int(voxels[:, label].sum(axis=1).argmax())
    for part in parts:
        if component < len(part.profiles):
            break
        component -= len(part.profiles)
    piece = (part.number == component + 1) & (part.labels == label) & own[largest, part.box[0]][:, None, None]
    return KidneyFinding(side, tissue, tumour, _centre(piece, volume, part.box))


def _centre(own: NDArray[np.bool_], volume: Volume, *boxes: tuple[slice, ...]) -> Voxel:
    """The central voxel of an object, in the mask; the object lies in the last box, each box in the one before."""
    inner = central_voxel(own, volume.spacing_mm)
    x, y, z = (at + sum(box[axis].start for box in boxes) for axis, at in enumerate(inner))
    return x, y, z


def _side(right: bool, unknown: str) -> Side | None:
    return None if unknown else "right" if right else "left"


def _lesions(
    label: int, parts: list[Components], on_right: NDArray[np.bool_], volume: Volume, unknown: str
) -> list[_Lesion]:
    """Each listed connected tumour or cyst, largest first."""
    found = []
    before = 0  # components of the parts before
    for part in parts:
        for box, own in _connected(part.labels == label):
            voxels = int(np.count_nonzero(own))
            if voxels * volume.voxel_ml < LEAST_TUMOUR_ML:
                continue
            component = before + int(part.number[box][own][0]) - 1
            first = part.box[0].start + box[0].start
            right = np.count_nonzero(own, axis=(1, 2)) @ on_right[component, first : first + len(own)]
            diameter = longest_diameter_mm(own, volume.spacing_mm)
            side = _side(2 * int(right) > voxels, unknown)
            centre = _centre(own, volume, part.box, box)
            contact = kidney_contact(own, part.labels, box, volume.spacing_mm)
            found.append(_Lesion(side, float(voxels * volume.voxel_ml), diameter, centre, contact))
        before += len(part.profiles)
    return sorted(found, key=lambda one: -one.ml)


def _connected(inside: NDArray[np.bool_]) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
    """(box, bool (X, Y, Z) in the box) of each connected component inside (X, Y, Z)."""
    for outer in separate_boxes(inside):
        numbers, count = label_components(inside[outer])
        for number, inner in enumerate(ndimage.find_objects(numbers, count), start=1):
            x, y, z = (
                slice(large.start + small.start, large.start + small.stop)
                for large, small in zip(outer, inner, strict=True)
            )
            yield (x, y, z), numbers[inner] == number


def _joined_across(profiles: NDArray[np.int64], x_mm: NDArray[np.floating], middle: float) -> NDArray[np.bool_]:
    """Which components, given their kidney voxels in each x (count, width), are horseshoe kidneys."""
    right = profiles[:, x_mm > middle].sum(axis=1) / np.maximum(profiles.sum(axis=1), 1)
    width = np.array([np.ptp(x_mm[used]) if used.any() else 0.0 for used in profiles > 0])
    return np.asarray((np.minimum(right, 1 - right) >= _HORSESHOE_SHARE) & (width >= _HORSESHOE_MM))
