"""Soft masks of the organs of one CT, computed once per case: what simulating contrast phases and fat needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import HU, Box, Doubles, Floats, Indices, Labels, Mask, Spacing, bounding_box
from kidneyseg.synthesis.placement import block_mean

# BTCV's organ numbers. It numbers the two kidneys 2 and 3, the two adrenals 12 and 13: each pair is one organ here.
SPLEEN, KIDNEYS, LIVER, AORTA, CAVA, PORTAL, PANCREAS, ADRENALS = 1, 2, 6, 8, 9, 10, 11, 12
ORGANS = (SPLEEN, KIDNEYS, LIVER, AORTA, CAVA, PORTAL, PANCREAS, ADRENALS)
_PAIRS = {KIDNEYS: 3, ADRENALS: 13}
# HU between unenhanced and enhanced parenchyma.
UNENHANCED_HU = 60.0


@dataclass(frozen=True, eq=False)
class Organ:
    """Voxels of one organ and a little around it; arrays of equal length."""

    index: Indices  #: int64, flat indices (C order) into the volume
    weight: Floats  #: float32, 0...1: 1 in the organ's mask, fading out within some 3 mm
    #: float32, 1 at the organ's surface, 0 from some 4 mm below it. Dark voxels near the surface are fat by partial
    #: volume; deep inside they are cysts or urine.
    edge: Floats
    fine: Floats  #: float32, HU smoothed with an SD of 1 mm
    smooth: Floats  #: float32, HU smoothed with an SD of 2.2 mm: free of noise
    median: float  #: the organ's median HU


@dataclass(frozen=True, eq=False)
class OrganWeights:
    """The organs of one CT on one grid. Building takes about a second for a 1.5 mm crop."""

    shape: tuple[int, ...]  #: of the grid
    spacing: Doubles  #: (3,) voxel edge lengths in mm
    organs: dict[int, Organ]  #: by BTCV number; both kidneys under 2, both adrenals under 12
    #: float32, depth in mm below the kidneys' outer surface (sinus filled), at the kidneys' voxels
    cortex_depth: Floats
    pelvis: tuple[Indices, Floats]  #: flat indices and weights of the collecting system
    soft: Indices  #: flat indices of unlabelled soft tissue: no organ, bone or fat

    @classmethod
    def build(cls, hu: HU, label13: Labels, spacing_mm: float | Spacing) -> OrganWeights:
        """Soft organ masks of a CT.

        Args:
            hu: int16 (X, Y, Z).
            label13: uint8 (X, Y, Z), BTCV's organ numbers; may be 0 everywhere.
        """
        spacing = np.array(np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,)))
        organs: dict[int, Organ] = {}
        for number in ORGANS:
            if (mask := organ_mask(label13, number)).any():
                organs[number] = _soft_organ(mask, label13, hu, spacing)
        soft = np.flatnonzero((label13 == 0) & (hu > 0) & ~bone_mask(hu, label13, spacing))
        depth, pelvis = np.zeros(0, np.float32), (np.zeros(0, np.int64), np.zeros(0, np.float32))
        if KIDNEYS in organs:
            depth, pelvis = _kidney_inside(organ_mask(label13, KIDNEYS), hu, organs[KIDNEYS], spacing)
        return cls(hu.shape, spacing, organs, depth, pelvis, soft)


def organ_mask(label13: Labels, number: int) -> Mask:
    """Bool mask of an organ; of a pair, both are under the first one's number."""
    mask = label13 == number
    if number in _PAIRS:
        mask |= label13 == _PAIRS[number]
    return np.asarray(mask)


def fill_sinus(kidney: Mask, spacing: Doubles, *, radius_mm: float = 10.0) -> Mask:
    """Kidneys (X, Y, Z) after morphological closing with a ball of `radius_mm`."""
    dilated = ndimage.distance_transform_edt(~kidney, sampling=spacing) <= radius_mm
    return np.asarray((ndimage.distance_transform_edt(dilated, sampling=spacing) > radius_mm) | kidney)


def box_with_margin(mask: Mask, margin_mm: float, spacing: Doubles) -> Box:
    """The box of a mask (X, Y, Z), not empty, with `margin_mm` and a voxel more on every side."""
    box = bounding_box(mask, np.ceil(margin_mm / spacing).astype(int) + 1)
    assert box is not None
    return box


def flat_index(inside: Mask, box: Box, shape: tuple[int, ...]) -> Indices:
    """Flat indices (C order) into an array of `shape` of the true voxels of a mask over its `box`."""
    where = np.nonzero(inside)
    flat = np.ravel_multi_index(tuple(w + s.start for w, s in zip(where, box, strict=True)), shape)
    return np.asarray(flat, dtype=np.int64)


def _soft_organ(mask: Mask, label13: Labels, hu: HU, spacing: Doubles) -> Organ:
    box = box_with_margin(mask, 5.0, spacing)
    part, grey = mask[box].astype(np.float32), hu[box].astype(np.float32)
    median = float(np.median(hu[mask]))
    fine = ndimage.gaussian_filter(grey, 1.0 / spacing)
    smooth = ndimage.gaussian_filter(grey, 2.2 / spacing)
    weight = np.clip(2.0 * ndimage.gaussian_filter(part, 0.8 / spacing), 0.0, 1.0)
    wide = ndimage.gaussian_filter(part, 2.0 / spacing)
    if median > UNENHANCED_HU + 25.0:
        # Drawn outlines often leave out the organ's outermost bright voxels; unchanged, they would become a ring.
        bright = np.clip((fine - UNENHANCED_HU) / (median - UNENHANCED_HU), 0.0, 1.0)
        weight = np.maximum(weight, bright * np.clip(6.0 * wide, 0.0, 1.0))
    weight[(label13[box] > 0) & (part == 0)] = 0.0
    weight[part > 0] = 1.0
    edge = np.clip(2.0 - 2.0 * wide, 0.0, 1.0)
    inside = weight > 0.03
    return Organ(
        flat_index(inside, box, mask.shape), weight[inside], edge[inside], fine[inside], smooth[inside], median
    )


def bone_mask(hu: HU, label13: Labels, spacing: Doubles) -> Mask:
    """Bones with their marrow, found on a grid of 4 mm; bright bowel and calcified vessels may be among them.

    A bone is a bright body of more than 8 mL, or one with compact bone in it.
    """
    step = np.maximum(1, np.rint(4.0 / spacing)).astype(np.int64)
    padded = np.pad(hu, [(0, -n % int(s)) for n, s in zip(hu.shape, step, strict=True)], mode="edge")
    outside = np.pad(label13 == 0, [(0, p - n) for p, n in zip(padded.shape, hu.shape, strict=True)])
    bright = (block_mean(padded, step) > 150.0) & (block_mean(outside, step) > 0.5)
    compact = block_mean(padded >= 265.0, step) > 0.2
    bodies, count = ndimage.label(bright, np.ones((3, 3, 3)))
    numbers = np.arange(count + 1)
    large = ndimage.sum_labels(bright, bodies, numbers) * (step * spacing).prod() / 1000.0 > 8.0
    bone = bright & (large | (ndimage.maximum(compact, bodies, numbers) > 0))[bodies]
    if not bone.any():
        return np.zeros(hu.shape, dtype=bool)
    # Closing by 20 mm fills the marrow of vertebrae; the mask stays 5 mm larger to hold the cortex' blur.
    cell = step * spacing
    dilated = np.pad(ndimage.distance_transform_edt(~bone, sampling=cell) <= 20.0, 6, mode="edge")
    closed = ndimage.distance_transform_edt(dilated, sampling=cell)[6:-6, 6:-6, 6:-6] > 15.0
    for axis, by in enumerate(step):
        closed = closed.repeat(int(by), axis)
    return np.asarray(closed[tuple(slice(n) for n in hu.shape)])


def _kidney_inside(kidney: Mask, hu: HU, organ: Organ, spacing: Doubles) -> tuple[Floats, tuple[Indices, Floats]]:
    """Depth below the outer surface at the organ's voxels, and the collecting system's voxels and weights."""
    box = box_with_margin(kidney, 14.0, spacing)
    # The walls of the sinus are medulla, not cortex.
    filled = fill_sinus(kidney[box], spacing)
    depth = ndimage.distance_transform_edt(filled, sampling=spacing).astype(np.float32)
    smooth = ndimage.gaussian_filter(hu[box], 1.5 / spacing, output=np.float32)
    urine = filled & (depth > 9.0) & (smooth > -20.0) & (smooth < min(0.55 * organ.median + 10.0, UNENHANCED_HU))
    urine = ndimage.binary_opening(urine)
    weight = np.clip(1.5 * ndimage.gaussian_filter(urine.astype(np.float32), 1.0 / spacing), 0.0, 1.0)
    inside = weight > 0.05
    place = np.unravel_index(organ.index, kidney.shape)
    # The organ's box is smaller than this one, so every organ voxel has a depth.
    local = tuple(p - s.start for p, s in zip(place, box, strict=True))
    return depth[local], (flat_index(inside, box, kidney.shape), weight[inside])
