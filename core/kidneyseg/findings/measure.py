"""Measures a mask: volume and side of each kidney, and of each tumour and cyst with its longest diameter."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Voxel
from kidneyseg.findings.centre import central_voxel
from kidneyseg.findings.contact import kidney_contact
from kidneyseg.findings.diameter import longest_diameter_mm
from kidneyseg.findings.flags import flags
from kidneyseg.findings.owners import Owner, Owners, find_owners, listed_kidneys, listed_pieces, side_of
from kidneyseg.findings.records import CystFinding, Findings, KidneyFinding, Side, TumourFinding
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume


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
    owners = find_owners(mask, volume, oriented=oriented)
    if owners is None:
        return Findings((), (), 0.0, 0.0)
    ml, profiles = volume.voxel_ml, owners.profiles
    findings = Findings(
        kidneys=tuple(
            KidneyFinding(owner.side, tissue, tumour, _kidney_centre(owner, owners, volume))
            for owner, tissue, tumour in listed_kidneys(owners, volume)
        ),
        tumours=tuple(TumourFinding(*one) for one in _lesions(TUMOUR, owners, volume)),
        kidney_ml=float(profiles[:, KIDNEY].sum() * ml),
        tumour_ml=float(profiles[:, TUMOUR].sum() * ml),
        horseshoe=bool(owners.joined.any()),
        kidney_sized=owners.kidney_sized,
        side_unknown=owners.unknown,
        cysts=tuple(CystFinding(*one[:4]) for one in _lesions(CYST, owners, volume)),
        cyst_ml=float(profiles[:, CYST].sum() * ml),
    )
    return replace(findings, flags=flags(findings, mask, owners.parts, volume))


def _kidney_centre(kidney: Owner, owners: Owners, volume: Volume) -> Voxel:
    """The centre of a kidney's tissue, or of its tumour where that is all; of its largest piece."""
    voxels = owners.profiles * kidney.own[:, None]
    label = KIDNEY if voxels[:, KIDNEY].any() else TUMOUR
    component = largest = int(voxels[:, label].sum(axis=1).argmax())
    for part in owners.parts:
        if component < len(part.profiles):
            break
        component -= len(part.profiles)
    own = kidney.own[largest, part.box[0]][:, None, None]
    return _centre((part.number == component + 1) & (part.labels == label) & own, volume, part.box)


def _centre(own: NDArray[np.bool_], volume: Volume, *boxes: tuple[slice, ...]) -> Voxel:
    """The central voxel of an object, in the mask; the object lies in the last box, each box in the one before."""
    inner = central_voxel(own, volume.spacing_mm)
    x, y, z = (at + sum(box[axis].start for box in boxes) for axis, at in enumerate(inner))
    return x, y, z


def _lesions(label: int, owners: Owners, volume: Volume) -> list[_Lesion]:
    """Each listed connected tumour or cyst, largest first."""
    found = []
    for part, before, box, own, voxels in listed_pieces(label, owners, volume):
        component = before + int(part.number[box][own][0]) - 1
        first = part.box[0].start + box[0].start
        right = np.count_nonzero(own, axis=(1, 2)) @ owners.on_right[component, first : first + len(own)]
        diameter = longest_diameter_mm(own, volume.spacing_mm)
        side = side_of(2 * int(right) > voxels, owners.unknown)
        centre = _centre(own, volume, part.box, box)
        contact = kidney_contact(own, part.labels, box, volume.spacing_mm)
        found.append(_Lesion(side, float(voxels * volume.voxel_ml), diameter, centre, contact))
    return found
