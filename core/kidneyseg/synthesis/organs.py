"""Soft masks of the organs of one CT: what a change of contrast phase needs to know, worked out once per case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.synthesis.placement import block_mean

SPLEEN, KIDNEYS, LIVER, AORTA, CAVA, PORTAL, PANCREAS, ADRENALS = 1, 2, 6, 8, 9, 10, 11, 12
# BTCV numbers the two kidneys 2 and 3, the two adrenals 12 and 13: each pair counts as one organ here.
_PAIRS = {KIDNEYS: 3, ADRENALS: 13}
_UNENHANCED = 60.0
_COARSE_MM = 4.0
_BONE_HU, _COMPACT_BONE_HU, _BONE_ML = 150.0, 265.0, 8.0


@dataclass(frozen=True, eq=False)
class Organ:
    """Voxels of one organ and a little around it; arrays of equal length.

    Attributes:
        index: flat indices (C order) into the volume.
        weight: how far each belongs to the organ, 0...1: 1 in its mask, fading out within some 3 mm.
        edge: 1 at the organ's surface, 0 some 4 mm deeper: there darkness means fat, not a cyst.
        fine: HU, smoothed by 1 mm.
        smooth: HU, smoothed by 2.2 mm: without noise.
        median: the organ's HU.
    """

    index: NDArray[np.int64]
    weight: NDArray[np.float32]
    edge: NDArray[np.float32]
    fine: NDArray[np.float32]
    smooth: NDArray[np.float32]
    median: float


@dataclass(frozen=True, eq=False)
class OrganWeights:
    """The organs of one CT on one grid. Building takes about a second for a 1.5 mm crop.

    Attributes:
        shape: of the grid.
        spacing: (3,) voxel edge lengths in mm.
        organs: by BTCV number; both kidneys under 2, both adrenals under 12.
        cortex_depth: mm below the kidneys' outer surface (the sinus filled), at the kidneys' voxels.
        pelvis: flat indices and weights of the collecting system.
        soft: flat indices of unlabelled soft tissue: no organ, bone or fat.
    """

    shape: tuple[int, ...]
    spacing: NDArray[np.float64]
    organs: dict[int, Organ]
    cortex_depth: NDArray[np.float32]
    pelvis: tuple[NDArray[np.int64], NDArray[np.float32]]
    soft: NDArray[np.int64]

    @classmethod
    def build(
        cls, hu: NDArray[np.int16], label13: NDArray[np.uint8], spacing_mm: float | tuple[float, float, float]
    ) -> OrganWeights:
        """Soft organ masks of a CT.

        Args:
            hu: int16 (X, Y, Z).
            label13: uint8 (X, Y, Z), BTCV's organ numbers; 0 everywhere is allowed.
            spacing_mm: voxel edge lengths.
        """
        spacing = np.array(np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,)))
        organs: dict[int, Organ] = {}
        for number in (SPLEEN, KIDNEYS, LIVER, AORTA, CAVA, PORTAL, PANCREAS, ADRENALS):
            if (mask := organ_mask(label13, number)).any():
                organs[number] = _soft_organ(mask, label13, hu, spacing)
        soft = np.flatnonzero((label13 == 0) & (hu > 0) & ~_bone(hu, label13, spacing))
        depth, pelvis = np.zeros(0, np.float32), (np.zeros(0, np.int64), np.zeros(0, np.float32))
        if KIDNEYS in organs:
            depth, pelvis = _kidney_inside(organ_mask(label13, KIDNEYS), hu, organs[KIDNEYS], spacing)
        return cls(hu.shape, spacing, organs, depth, pelvis, soft)


def organ_mask(label13: NDArray[np.uint8], number: int) -> NDArray[np.bool_]:
    """Where an organ is; both of a pair under the first one's number."""
    mask = label13 == number
    if number in _PAIRS:
        mask |= label13 == _PAIRS[number]
    return np.asarray(mask)


def fill_sinus(kidney: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Kidneys (X, Y, Z) closed by 10 mm; not as far as the array's rim."""
    grown = ndimage.distance_transform_edt(~kidney, sampling=spacing) <= 10.0
    return np.asarray((ndimage.distance_transform_edt(grown, sampling=spacing) > 10.0) | kidney)


def box_around(mask: NDArray[np.bool_], margin_mm: float, spacing: NDArray[np.float64]) -> tuple[slice, ...]:
    """The box of a mask (X, Y, Z) with a margin, cut where the array ends below 0."""
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    margin = np.ceil(margin_mm / spacing).astype(int) + 1
    return tuple(slice(max(s.start - int(m), 0), s.stop + int(m)) for s, m in zip(box, margin, strict=True))


def flat_index(inside: NDArray[np.bool_], box: tuple[slice, ...], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Indices (C order) into an array of `shape` where a mask over its `box` is true."""
    where = np.nonzero(inside)
    flat = np.ravel_multi_index(tuple(w + s.start for w, s in zip(where, box, strict=True)), shape)
    return np.asarray(flat, dtype=np.int64)


def _soft_organ(
    mask: NDArray[np.bool_], label13: NDArray[np.uint8], hu: NDArray[np.int16], spacing: NDArray[np.float64]
) -> Organ:
    box = box_around(mask, 5.0, spacing)
    part, grey = mask[box].astype(np.float32), hu[box].astype(np.float32)
    median = float(np.median(hu[mask]))
    fine = ndimage.gaussian_filter(grey, 1.0 / spacing)
    smooth = ndimage.gaussian_filter(grey, 2.2 / spacing)
    weight = np.clip(2.0 * ndimage.gaussian_filter(part, 0.8 / spacing), 0.0, 1.0)
    wide = ndimage.gaussian_filter(part, 2.0 / spacing)
    if median > _UNENHANCED + 25.0:
        # Drawn outlines often leave out the organ's outermost bright voxels; unmoved, they would become a ring.
        bright = np.clip((fine - _UNENHANCED) / (median - _UNENHANCED), 0.0, 1.0)
        weight = np.maximum(weight, bright * np.clip(6.0 * wide, 0.0, 1.0))
    weight[(label13[box] > 0) & (part == 0)] = 0.0
    weight[part > 0] = 1.0
    edge = np.clip(2.0 - 2.0 * wide, 0.0, 1.0)
    inside = weight > 0.03
    return Organ(
        flat_index(inside, box, mask.shape), weight[inside], edge[inside], fine[inside], smooth[inside], median
    )


def _bone(hu: NDArray[np.int16], label13: NDArray[np.uint8], spacing: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Bones with their marrow, found on a coarse grid; bright bowel and calcified vessels may be among them."""
    step = np.maximum(1, np.rint(_COARSE_MM / spacing)).astype(np.int64)
    padded = np.pad(hu, [(0, -n % int(s)) for n, s in zip(hu.shape, step, strict=True)], mode="edge")
    outside = np.pad(label13 == 0, [(0, p - n) for p, n in zip(padded.shape, hu.shape, strict=True)])
    bright = (block_mean(padded, step) > _BONE_HU) & (block_mean(outside, step) > 0.5)
    compact = block_mean(padded >= _COMPACT_BONE_HU, step) > 0.2
    bodies, count = ndimage.label(bright, np.ones((3, 3, 3)))
    numbers = np.arange(count + 1)
    large = ndimage.sum_labels(bright, bodies, numbers) * (step * spacing).prod() / 1000.0 > _BONE_ML
    bone = bright & (large | (ndimage.maximum(compact, bodies, numbers) > 0))[bodies]
    if not bone.any():
        return np.zeros(hu.shape, dtype=bool)
    # Closing by 20 mm fills the marrow of vertebrae; 4 mm more keep the cortex' blur.
    cell = step * spacing
    grown = np.pad(ndimage.distance_transform_edt(~bone, sampling=cell) <= 20.0, 6, mode="edge")
    closed = ndimage.distance_transform_edt(grown, sampling=cell)[6:-6, 6:-6, 6:-6] > 15.0
    for axis, by in enumerate(step):
        closed = closed.repeat(int(by), axis)
    return np.asarray(closed[tuple(slice(n) for n in hu.shape)])


def _kidney_inside(
    kidney: NDArray[np.bool_], hu: NDArray[np.int16], organ: Organ, spacing: NDArray[np.float64]
) -> tuple[NDArray[np.float32], tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Depth below the outer surface at the organ's voxels, and the collecting system's voxels and weights."""
    box = box_around(kidney, 14.0, spacing)
    part = kidney[box]
    # The sinus' walls are medulla, not cortex.
    filled = fill_sinus(part, spacing)
    depth = ndimage.distance_transform_edt(filled, sampling=spacing).astype(np.float32)
    smooth = ndimage.gaussian_filter(hu[box], 1.5 / spacing, output=np.float32)
    urine = filled & (depth > 9.0) & (smooth > -20.0) & (smooth < min(0.55 * organ.median + 10.0, 60.0))
    urine = ndimage.binary_opening(urine)
    weight = np.clip(1.5 * ndimage.gaussian_filter(urine.astype(np.float32), 1.0 / spacing), 0.0, 1.0)
    inside = weight > 0.05
    place = np.unravel_index(organ.index, kidney.shape)
    # The organ's box is smaller than this one, so every organ voxel has a depth.
    local = tuple(p - s.start for p, s in zip(place, box, strict=True))
    return depth[local], (flat_index(inside, box, kidney.shape), weight[inside])
