"""Numbers each finding of a mask: a kidney, a tumour or a cyst of its own for every voxel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import bounding_box
from kidneyseg.findings.owners import (
    ORIENTATION_WRONG,
    Owner,
    Owners,
    find_owners,
    listed_kidneys,
    listed_pieces,
)
from kidneyseg.findings.records import CystFinding, Findings, KidneyFinding, Side, TumourFinding
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume


@dataclass(frozen=True)
class Instance:
    """One numbered object of a mask."""

    label: int  #: KIDNEY, TUMOUR or CYST
    side: Side | None  #: that it lies on, if known
    #: what was measured on it; None for the voxels of a label that belong to no listed finding, all together
    finding: KidneyFinding | TumourFinding | CystFinding | None


class Instances(NamedTuple):
    """The objects of a mask."""

    #: uint8 or uint16 (X, Y, Z), x fastest in memory: 0 for background, else the object's place in `objects` from 1 on
    numbers: NDArray[np.uint8] | NDArray[np.uint16]
    voxels: tuple[int, ...]  #: how many each object has
    #: kidneys, then tumours, then cysts, each in the findings' order; none without voxels
    objects: tuple[Instance, ...]


def find_instances(mask: NDArray[np.uint8], volume: Volume, findings: Findings) -> Instances:
    """The objects that the findings of a mask are about. Every voxel that is not 0 belongs to one of its own label.

    Args:
        mask: uint8 (X, Y, Z), 0, 1 kidney, 2 tumour, 3 cyst, on the volume's voxels.
        volume: the CT.
        findings: `measure` for this mask and volume.

    Raises:
        ValueError: the findings are of another mask.
    """
    owners = find_owners(mask, volume, oriented=findings.side_unknown != ORIENTATION_WRONG)
    box = bounding_box(mask)
    objects: list[Instance] = []
    if owners is None or box is None:
        return Instances(np.zeros(mask.shape, np.uint8, order="F"), (), ())
    kidneys = [owner for owner, _, _ in listed_kidneys(owners, volume)]
    pieces = {label: listed_pieces(label, owners, volume) for label in (TUMOUR, CYST)}
    listed = (len(findings.kidneys), len(findings.tumours), len(findings.cysts))
    if listed != (len(kidneys), len(pieces[TUMOUR]), len(pieces[CYST])):
        raise ValueError("the findings are not those of the mask")
    most = sum(listed) + 3  # and the rest of each label
    numbers = np.zeros(mask.shape, np.uint8 if most < 256 else np.uint16, order="F")
    for kidney, of_kidney in zip(kidneys, findings.kidneys, strict=True):
        used = [_number(numbers[part], own, len(objects) + 1) for part, own in _kidney_voxels(kidney, owners)]
        if any(used):  # not so of a kidney that is all tumour
            objects.append(Instance(KIDNEY, of_kidney.side, of_kidney))
    _number_rest(numbers[box], mask[box], KIDNEY, objects)
    lesions: list[tuple[int, Sequence[TumourFinding | CystFinding]]]
    lesions = [(TUMOUR, findings.tumours), (CYST, findings.cysts)]
    for label, found in lesions:
        for piece, finding in zip(pieces[label], found, strict=True):
            _number(numbers[piece.part.box][piece.box], piece.own, len(objects) + 1)
            objects.append(Instance(label, finding.side, finding))
        _number_rest(numbers[box], mask[box], label, objects)
    return Instances(numbers, voxel_counts(numbers[box], len(objects)), tuple(objects))


def voxel_counts(numbers: NDArray[np.integer], count: int) -> tuple[int, ...]:
    """How many voxels (X, Y, Z) have each number from 1 to `count`; plane by plane, as counting takes 8 bytes each."""
    total = np.zeros(count + 1, np.int64)
    for k in range(numbers.shape[2]):
        total += np.bincount(numbers[:, :, k].ravel(order="K"), minlength=count + 1)
    return tuple(total[1:].tolist())


def _kidney_voxels(kidney: Owner, owners: Owners) -> Iterator[tuple[tuple[slice, slice, slice], NDArray[np.bool_]]]:
    """(box, bool (X, Y, Z) in it) of a kidney's tissue, for each part of the mask."""
    before = 0
    for part in owners.parts:
        count = len(part.profiles)
        own = np.zeros((count + 1, part.labels.shape[0]), np.bool_)  # the first row is the background's
        own[1:] = kidney.own[before : before + count, part.box[0]]
        x = np.arange(part.labels.shape[0])[:, None, None]
        yield part.box, (part.labels == KIDNEY) & own[part.number, x]
        before += count


def _number(view: NDArray[np.generic], own: NDArray[np.bool_], number: int) -> bool:
    """Number an object's voxels; whether it has any."""
    view[own] = number
    return bool(own.any())


def _number_rest(numbers: NDArray[np.generic], mask: NDArray[np.uint8], label: int, objects: list[Instance]) -> None:
    """Number what no finding owns of a label as one object."""
    if _number(numbers, (mask == label) & (numbers == 0), len(objects) + 1):
        objects.append(Instance(label, None, None))
