"""Whole kidneys with their tumours and cysts, cut out of label maps to be put into other CTs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import Doubles, Floats, Labels, Mask, Range, Rng, Spacing, bounding_box
from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg.synthesis.kidney_pose import KidneyPose, pose_of
from kidneyseg.synthesis.organs import fill_sinus
from kidneyseg.synthesis.texture import gaussian_random_field

# Edge of the voxels that donors are kept on: a CT's slices are thicker, stage 2's cells larger.
VOXEL_MM = 1.5
#: Label of what a donor encloses besides kidney, tumour and cyst: its sinus and other cavities.
ENCLOSED = 4
_SPACING = np.full(3, VOXEL_MM)


@dataclass(frozen=True, eq=False)
class DonorKidney:
    """A kidney with what grows on it, as they lie together. Axes are right, anterior, superior."""

    case: int  #: number of the case that it was cut from
    medial: float  #: 1 where the spine lies towards higher x, -1 towards lower x
    #: uint8 (A, B, C) of TISSUE, KIDNEY, TUMOUR, CYST, ENCLOSED, on voxels of VOXEL_MM, with an empty margin
    labels: Labels = field(repr=False)

    @cached_property
    def tumour_ml(self) -> float:
        """Volume of its tumours."""
        return float(np.count_nonzero(self.labels == TUMOUR)) * VOXEL_MM**3 / 1000.0

    @property
    def cyst_ml(self) -> float:
        """Volume of its cysts."""
        return float(np.count_nonzero(self.labels == CYST)) * VOXEL_MM**3 / 1000.0

    def mirrored(self) -> DonorKidney:
        """The kidney of the other side."""
        return DonorKidney(self.case, -self.medial, np.ascontiguousarray(self.labels[::-1]))

    @property
    def filled(self) -> Mask:
        """bool (A, B, C), the kidney with its lesions and what it encloses."""
        return self.labels > TISSUE

    @property
    def body(self) -> Mask:
        """bool (A, B, C), the kidney with its lesions."""
        return (self.labels > TISSUE) & (self.labels < ENCLOSED)

    @cached_property
    def pose(self) -> KidneyPose:
        """Its pose; coordinates are mm from the first voxel's centre."""
        kidney, sinus = self.labels == KIDNEY, self.labels == ENCLOSED
        return pose_of(kidney, sinus, _SPACING, np.zeros(3), self.medial)


def with_sinus(donor: DonorKidney, rng: Rng, *, share: Range = (0.03, 0.1), least_share: float = 0.06) -> DonorKidney:
    """The donor with a renal sinus where its label map has hardly any: many maps have the sinus filled.

    Args:
        share: range of the sinus' share of the kidney.
        least_share: a sinus with this share of the kidney is left as it is.
    """
    kidney, filled = donor.labels == KIDNEY, donor.filled
    depth = ndimage.distance_transform_edt(filled, sampling=_SPACING).astype(np.float32)
    deep = (donor.labels == ENCLOSED) & (depth > 7.0)
    wanted = float(rng.uniform(*share)) - float(deep.sum()) / float(kidney.sum())
    if deep.sum() > least_share * kidney.sum() or wanted <= 0:
        return donor
    calices = depth + 3.5 * gaussian_random_field(depth.shape, 4.0, _SPACING, rng)
    least = max(float(np.quantile(calices[kidney], 1.0 - wanted)), 9.0)
    sinus, gate = (calices > least) & filled, (depth > least - 2.0) & (calices > least + 3.0)
    hilum = donor.pose.hilum
    for mm in np.arange(VOXEL_MM, 36.0, VOXEL_MM):  # it opens at the hilum
        first = np.rint(hilum * mm / VOXEL_MM).astype(int)
        sinus |= filled & np.roll(gate, first, (0, 1, 2))  # an empty margin surrounds the kidney
    return replace(donor, labels=np.where(sinus & kidney, np.uint8(ENCLOSED), donor.labels))


def cut_kidneys(
    labels: Labels, spacing_mm: Spacing, case: int, *, min_kidney_ml: float = 40.0, largest_mm: float = 170.0
) -> list[DonorKidney]:
    """The kidneys of one label map, at most two: horseshoe kidneys and what is larger than `largest_mm` are left out.

    Args:
        labels: uint8 (X, Y, Z) in RAS order: 0 background, 1 kidney, 2 tumour, 3 cyst.
        case: number to store with the kidneys.
        min_kidney_ml: volume of kidney tissue that must be left beside its lesions.
        largest_mm: largest extent along each axis.
    """
    spacing = np.asarray(spacing_mm)
    bodies, count = ndimage.label(labels > 0)
    found: list[tuple[float, Labels]] = []
    for body, box in zip(range(1, count + 1), ndimage.find_objects(bodies), strict=True):
        part = np.where(bodies[box] == body, labels[box], np.uint8(0))
        if (part == KIDNEY).sum() * spacing.prod() < 1000.0 * min_kidney_ml:
            continue
        if (np.array(part.shape) * spacing).max() > largest_mm or _is_horseshoe(part, spacing):
            continue
        found.append((box[0].start * spacing[0], _isotropic(part, spacing)))
    found.sort(key=lambda one: one[0])
    if len(found) != 2:
        middle = labels.shape[0] * spacing[0] / 2.0
        return [DonorKidney(case, 1.0 if start < middle else -1.0, part) for start, part in found[:1] if count > 1]
    return [DonorKidney(case, medial, part) for medial, (_, part) in zip((1.0, -1.0), found, strict=True)]


def _is_horseshoe(part: Labels, spacing: Doubles) -> bool:
    """Whether kidney tissue reaches across the spine: no kidney is as wide."""
    columns = np.flatnonzero((part == KIDNEY).any(axis=(1, 2)))
    return bool((columns[-1] - columns[0]) * spacing[0] > 120.0)


def _isotropic(part: Labels, spacing: Doubles) -> Labels:
    """Labels on voxels of VOXEL_MM: distance maps are interpolated, so that thick slices leave no stairs."""
    # Distances are measured on voxels already thinned in the plane: their number is what costs time.
    plane = np.maximum(np.rint(VOXEL_MM / spacing), 1).astype(int)
    plane[2] = 1
    padded = np.pad(part, [(3 * int(by), 3 * int(by) + -n % int(by)) for by, n in zip(plane, part.shape, strict=True)])
    thin, step = spacing * plane, VOXEL_MM / (spacing * plane)
    size = tuple(np.ceil((np.array(padded.shape) / plane - 1) / step).astype(int) + 1)

    def distance(mask: Mask) -> Floats:
        x, y, z = (n // int(by) for n, by in zip(mask.shape, plane, strict=True))
        share = mask.reshape(x, plane[0], y, plane[1], z).mean(axis=(1, 3))
        inside = share >= 0.5
        near = ndimage.distance_transform_edt(inside, sampling=thin) - ndimage.distance_transform_edt(
            ~inside, sampling=thin
        )
        return np.asarray(ndimage.affine_transform(near, step, output_shape=size, order=1, mode="nearest"), np.float32)

    result = (distance(padded > 0) > 0).astype(np.uint8)
    for label in (CYST, TUMOUR):
        if (padded == label).any():
            result[(distance(padded == label) > 0) & (result > 0)] = label
    box = bounding_box(result)
    assert box is not None
    # Closing needs room around the kidney.
    cut = np.pad(result[box], 9)
    filled = ndimage.binary_fill_holes(fill_sinus(cut > 0, _SPACING))
    cut = np.where(filled & (cut == TISSUE), np.uint8(ENCLOSED), cut)
    return np.asarray(cut[bounding_box(cut, 2)], np.uint8)
