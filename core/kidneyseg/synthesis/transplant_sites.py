"""Where a kidney can take the place of a CT's own: its pose, what it must not replace, what is displaced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import HU, Box, Doubles, Floats, Indices, Labels, Mask, Rng, bounding_box
from kidneyseg.synthesis.donor_kidneys import VOXEL_MM, DonorKidney
from kidneyseg.synthesis.kidney_pose import KidneyPose, about, pose_of, rotation_to
from kidneyseg.synthesis.organs import AORTA, CAVA, bone_mask, fill_sinus
from kidneyseg.synthesis.placement import block_mean

# BTCV's number of the left kidney; the right one has 2.
_LEFT = 3
_REACH_MM = 70.0
_MIN_KIDNEY_ML = 40.0
# Cells on which the surroundings are described and displaced.
_STEP_MM = 4.0


@dataclass(frozen=True, eq=False)
class TransplantSite:
    """One of a CT's kidneys, to be replaced. Coarse arrays (A, B, C) are on cells of `step` voxels."""

    pose: KidneyPose  #: in mm, voxel index times spacing
    medial: float  #: 1 where the spine lies towards higher x, -1 towards lower x
    box: Box  #: of the coarse cells in the CT's voxels
    step: Indices  #: (3,) voxels of a coarse cell along each axis
    step_mm: Doubles  #: (3,) the same in mm
    kidney: Mask  #: bool, coarse cells of the kidney with its sinus
    distance: Floats  #: float32, distance to it in mm, negative inside
    fixed: Mask  #: bool, coarse cells that nothing replaces or displaces: bone, air outside the body, aorta, vena cava
    tissue: Mask  #: bool, coarse cells that are not fat
    fat_hu: float  #: median of the fat around it

    def cells_at(self, points_mm: NDArray[np.floating]) -> NDArray[np.floating]:
        """Fractional coarse indices (..., 3) of points in mm."""
        first = (np.array([side.start for side in self.box]) + (self.step - 1) / 2.0) * self.step_mm / self.step
        return np.asarray((points_mm - first) / self.step_mm)


@dataclass(frozen=True, eq=False)
class DonorPlacement:
    """Where a donor comes to lie: a point p of it (mm from its first voxel) comes to rotation @ p + offset."""

    rotation: Doubles  #: (3, 3)
    offset: Doubles  #: (3,) mm

    def to_donor(self, points_mm: NDArray[np.floating]) -> NDArray[np.floating]:
        """Fractional voxel indices (..., 3) in the donor of points of the CT in mm."""
        return np.asarray((points_mm - self.offset) @ self.rotation / VOXEL_MM)


def find_sites(hu: HU, labels: Labels, organs: Labels, spacing: Doubles) -> list[TransplantSite]:
    """The kidneys of a CT that can be replaced, at most two, largest first.

    Args:
        hu: int16 (X, Y, Z), whole CT or a crop around a kidney.
        labels: uint8 (X, Y, Z), above 0 in kidneys with their lesions.
        organs: uint8 (X, Y, Z), BTCV's organ numbers; may be 0 everywhere.
        spacing: (3,) voxel edge lengths in mm.
    """
    step = np.maximum(1, np.rint(_STEP_MM / spacing)).astype(np.int64)
    box = bounding_box(labels, np.ceil(_REACH_MM / spacing).astype(int) + step)
    if box is None:
        return []
    share = block_mean(labels[box] > 0, step)
    bodies, count = ndimage.label(share >= 0.4)
    step_mm = step * spacing
    sizes = np.bincount(bodies.ravel(), minlength=count + 1)[1:] * float(step_mm.prod()) / 1000.0
    bone = block_mean(bone_mask(hu[box], organs[box], spacing), step) > 0.3
    grey = block_mean(hu[box], step)
    middle = organs[box][tuple(slice(int(by) // 2, None, int(by)) for by in step)]
    organ = middle[tuple(slice(n) for n in grey.shape)]
    fixed = bone | (grey < -300.0) | _outside(grey) | np.isin(organ, (AORTA, CAVA))
    sites = []
    for body in np.argsort(-sizes)[:2]:
        if sizes[body] < _MIN_KIDNEY_ML:
            continue
        kidney = bodies == body + 1
        filled = fill_sinus(kidney, step_mm)
        first_mm = (np.array([side.start for side in box]) + (step - 1) / 2.0) * spacing
        medial = _medial(kidney, organ, labels.shape[0] * spacing[0], first_mm, step_mm)
        distance = ndimage.distance_transform_edt(~filled, sampling=step_mm)
        distance = np.where(
            filled, 0.5 * step_mm.mean() - ndimage.distance_transform_edt(filled, sampling=step_mm), distance
        )
        fat = hu[box][:: int(step[0]), :: int(step[1]), :: int(step[2])][tuple(slice(n) for n in grey.shape)]
        fat = fat[(distance > 2.0) & (distance < 25.0) & (grey < -80.0) & (grey > -140.0)]
        others = ndimage.binary_dilation(bodies > 0) & ~ndimage.binary_dilation(kidney, iterations=2)
        sites.append(
            TransplantSite(
                pose=pose_of(kidney, filled & ~kidney, step_mm, first_mm, medial),
                medial=medial,
                box=box,
                step=step,
                step_mm=step_mm,
                kidney=filled,
                distance=distance.astype(np.float32),
                fixed=fixed & ~filled | others,
                tissue=(grey > -30.0) & ~filled,
                fat_hu=float(np.median(fat)) if len(fat) > 20 else -100.0,
            )
        )
    return sites


def _outside(grey: Floats) -> Mask:
    """Coarse cells of air around the body: what is dark and reaches the box' side faces (HU may be clipped at -125)."""
    dark, count = ndimage.label(ndimage.binary_opening(grey < -121.0))
    if not count:
        return np.zeros(grey.shape, bool)
    faces = np.concatenate([dark[0].ravel(), dark[-1].ravel(), dark[:, 0].ravel(), dark[:, -1].ravel()])
    return np.asarray(np.isin(dark, np.setdiff1d(faces, 0)))


def _medial(kidney: Mask, organ: Labels, width_mm: float, first_mm: Doubles, step_mm: Doubles) -> float:
    """Where the spine lies: from the organ map, else from the kidney's place in the CT."""
    left, right = (int(np.count_nonzero(organ[kidney] == number)) for number in (_LEFT, _LEFT - 1))
    if left != right:
        return 1.0 if left > right else -1.0
    middle = (np.argwhere(kidney)[:, 0] * step_mm[0] + first_mm[0]).mean()
    return 1.0 if middle < width_mm / 2.0 else -1.0


def place_donor(
    donor: DonorKidney,
    site: TransplantSite,
    rng: Rng,
    *,
    tries: int = 40,
    largest_turn_deg: float = 30.0,
    max_fixed: float = 0.02,
) -> DonorPlacement | None:
    """The place near the site's kidney where a donor of the same side replaces least of fixed things and of tissue.

    Args:
        tries: places that are compared.
        largest_turn_deg: the donor is turned into the kidney's pose by at most so much.
        max_fixed: largest share of the donor in what is fixed.

    Returns:
        None where it has no room.
    """
    own = donor.pose
    tilt = rng.standard_normal(3)
    rotation = rotation_to(own, site.pose, largest_turn_deg)
    rotation = about(tilt / np.linalg.norm(tilt), np.deg2rad(rng.normal(0.0, 5.0))) @ rotation
    cells = np.argwhere(donor.filled) * VOXEL_MM
    sample = cells[rng.choice(len(cells), 1500)] @ rotation.T
    gate = rotation @ own.gate
    best, best_cost = None, np.inf
    limit = np.array(site.kidney.shape)
    for i in range(tries):
        # The first tries keep the hilum where it was.
        offset = site.pose.gate - gate + rng.normal(0.0, 1.0 + 14.0 * i / tries, 3) * (1.0, 1.0, 1.5)
        index = np.rint(site.cells_at(sample + offset)).astype(int)
        beyond = ((index < 0) | (index >= limit)).any(axis=1)
        x, y, z = np.clip(index, 0, limit - 1).T
        fixed = float((site.fixed[x, y, z] & ~beyond).mean())
        tissue = float((site.tissue[x, y, z] & ~beyond).mean())
        moved = float(np.linalg.norm(offset - site.pose.gate + gate))
        cost = 20.0 * fixed + tissue + 0.012 * moved + float(beyond.mean())
        if cost < best_cost:
            best, best_cost, best_fixed = DonorPlacement(rotation, offset), cost, fixed
    return best if best is not None and best_fixed <= max_fixed else None


def displacement(site: TransplantSite, donor: Mask, largest_mm: float, closer_mm: float = 0.0) -> Floats:
    """How the surroundings move when a donor takes the kidney's place.

    What lay at a distance from the kidney's surface comes to lie at about that distance from the donor's: it is pushed
    outward where the donor is larger and drawn inward where it is smaller. This fades out with distance, so that
    nothing folds, and before what is fixed.

    Args:
        donor: bool (A, B, C), the site's coarse cells in the donor with its sinus.
        largest_mm: largest displacement.
        closer_mm: everything comes to lie nearer to the donor than it was to the kidney by so much.

    Returns:
        float32 (3, A, B, C), mm from each coarse cell to the place that its content comes from.
    """
    step = site.step_mm
    outside = ndimage.distance_transform_edt(~donor, sampling=step)
    signed = np.where(donor, 0.5 * step.mean() - ndimage.distance_transform_edt(donor, sampling=step), outside)
    shift = np.clip(signed + closer_mm - site.distance, -largest_mm, largest_mm)
    reach = np.maximum(3.0 * np.abs(shift), 12.0)
    shift *= np.clip(1.0 - np.maximum(signed, 0.0) / reach, 0.0, 1.0) ** 2
    smooth = ndimage.gaussian_filter(site.distance, 5.0 / step)
    slope = np.stack([np.gradient(smooth, edge, axis=axis) for axis, edge in enumerate(step)])
    slope /= np.maximum(np.linalg.norm(slope, axis=0), 0.3)
    free = 1.0 - ndimage.gaussian_filter(ndimage.binary_dilation(site.fixed).astype(np.float32), 4.0 / step)
    free = np.clip(2.0 * free - 1.0, 0.0, 1.0)
    return np.stack([ndimage.gaussian_filter(shift * part * free, 4.0 / step) for part in slope]).astype(np.float32)
