"""Which kidney, of which side, owns each connected component of a mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Box, box_around, separate_boxes
from kidneyseg.findings.components import Components, connected_components, label_components
from kidneyseg.findings.records import Side
from kidneyseg.findings.sides import Midline, find_midline
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.objects import KIDNEY_SIZED_ML, LEAST_KIDNEY_ML

# A smaller tumour or cyst (a ball of about 4 mm) is not listed; its voxels still count in the totals.
LEAST_TUMOUR_ML = 0.03

# A horseshoe kidney has at least this share of its tissue on either side of the midline, and is wider than any single
# kidney.
_HORSESHOE_SHARE = 0.2
_HORSESHOE_MM = 90.0

ORIENTATION_WRONG = "the header's orientation seems wrong"


class Owner(NamedTuple):
    """What one kidney owns of a mask."""

    side: Side | None  #: None where sides are unknown
    #: bool (components, width of the mask), whether a component's voxels in each x are the kidney's
    own: NDArray[np.bool_]


class Owners(NamedTuple):
    """The connected components of a mask, and whose they are."""

    parts: list[Components]
    profiles: NDArray[np.int64]  #: (components, labels, width of the mask), as of the parts
    kidneys: tuple[Owner, ...]  #: right before left
    on_right: NDArray[np.bool_]  #: (components, width of the mask), whether a voxel lies on the right
    joined: NDArray[np.bool_]  #: (components,), which are horseshoe kidneys
    kidney_sized: int  #: components of at least 40 mL of kidney and tumour
    unknown: str  #: why sides are unknown, "" where they are known


class Piece(NamedTuple):
    """A connected tumour or cyst that is listed."""

    part: Components
    before: int  #: components in the parts before
    box: Box  #: where it lies in the part's box
    own: NDArray[np.bool_]  #: its voxels (X, Y, Z) in that box
    voxels: int  #: how many it has


def find_owners(mask: NDArray[np.uint8], volume: Volume, *, oriented: bool = True) -> Owners | None:
    """Whose each component of a mask is, as `measure` says; None for an empty mask. Arguments as of `measure`."""
    parts = connected_components(mask)
    if not parts:
        return None
    profiles = np.concatenate([part.profiles for part in parts])
    x_mm = np.arange(0.5, len(mask)) * volume.spacing_mm[0]
    centres = profiles.sum(axis=1) @ x_mm / profiles.sum(axis=(1, 2))
    solid_ml = profiles[:, (KIDNEY, TUMOUR)].sum(axis=(1, 2)) * volume.voxel_ml
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
        owned = [(bool(centres[i] > middle), np.arange(len(centres))[:, None] == i) for i in large]
    else:
        owned = [(True, on_right), (False, ~on_right)]
    kidneys = tuple(Owner(side_of(right, unknown), np.broadcast_to(own, on_right.shape)) for right, own in owned)
    return Owners(parts, profiles, kidneys, on_right, joined, kidney_sized, unknown)


def side_of(right: bool, unknown: str) -> Side | None:
    """A side by its name, None where `unknown` says why sides are."""
    return None if unknown else "right" if right else "left"


def listed_kidneys(owners: Owners, volume: Volume) -> Iterator[tuple[Owner, float, float]]:
    """Each kidney with enough of kidney and tumour, and how much it has of each, in mL."""
    for kidney in owners.kidneys:
        voxels = owners.profiles * kidney.own[:, None]
        tissue, tumour = (float(voxels[:, label].sum() * volume.voxel_ml) for label in (KIDNEY, TUMOUR))
        if tissue + tumour >= LEAST_KIDNEY_ML:
            yield kidney, tissue, tumour


def listed_pieces(label: int, owners: Owners, volume: Volume) -> list[Piece]:
    """Each connected piece of a label, tumour or cyst, that is large enough to be listed; largest first."""
    found = []
    before = 0
    for part in owners.parts:
        for box, own in _connected(part.labels == label):
            voxels = int(np.count_nonzero(own))
            if voxels * volume.voxel_ml >= LEAST_TUMOUR_ML:
                found.append(Piece(part, before, box, own, voxels))
        before += len(part.profiles)
    return sorted(found, key=lambda piece: -piece.voxels)


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
