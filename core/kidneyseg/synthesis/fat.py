"""More fat around the kidneys and in the renal sinus than the CT shows, which leaves thin, C-shaped kidneys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import HU, Doubles, Floats, Indices, Labels, Mask, Range, Rng
from kidneyseg.synthesis.organs import AORTA, CAVA, KIDNEYS, box_with_margin, fill_sinus, flat_index, organ_mask


@dataclass(frozen=True, eq=False)
class FatRegions:
    """Where one CT's kidneys could have more fat."""

    #: int64, flat indices (C order) of voxels near a kidney that are neither kidney, large vessel nor bone
    around: Indices
    around_mm: Floats  #: float32, distance of each from the kidneys with their sinus filled
    kidney: Indices  #: int64, flat indices of the kidneys' voxels
    #: float32, depth of each below the outer surface. Towards the hilum the depth of the kidney's inside is carried on,
    #: so that fat spreads from the sinus to the hilum.
    depth_mm: Floats

    @classmethod
    def build(cls, label13: Labels, soft: Indices, spacing: Doubles, *, reach_mm: float, depth_mm: float) -> FatRegions:
        """The regions of a CT that shows a kidney.

        Args:
            label13: uint8 (X, Y, Z), BTCV's organ numbers.
            soft: flat indices of unlabelled soft tissue, as in `OrganWeights`.
            spacing: (3,) voxel edge lengths in mm.
            reach_mm: largest distance from the kidneys that fat may fill.
            depth_mm: largest depth below the surface at which fat may begin.
        """
        kidney = organ_mask(label13, KIDNEYS)
        box = box_with_margin(kidney, reach_mm, spacing)
        part = kidney[box]
        filled = fill_sinus(part, spacing)
        replaceable = np.zeros(label13.shape, bool)
        replaceable.reshape(-1)[soft] = True
        replaceable |= (label13 > 0) & ~kidney & ~organ_mask(label13, AORTA) & ~organ_mask(label13, CAVA)
        outside = ndimage.distance_transform_edt(~filled, sampling=spacing).astype(np.float32)
        near = replaceable[box] & (outside <= reach_mm)
        depth = ndimage.distance_transform_edt(filled, sampling=spacing).astype(np.float32)
        return cls(
            flat_index(near, box, label13.shape),
            outside[near],
            flat_index(part, box, label13.shape),
            _open_to_hilum(depth, part, filled, spacing, depth_mm + 8.0)[part],
        )


def add_fat(
    hu: HU,
    labels: Labels,
    regions: FatRegions,
    rng: Rng,
    *,
    around_mm: Range,
    depth_mm: Range,
    around_probability: float = 0.8,
    inside_probability: float = 0.8,
    fat_hu: Range = (-112.0, -88.0),
    texture_sd_hu: float = 7.0,
    edge_mm: float = 1.5,
) -> tuple[HU, Labels]:
    """Replace tissue around the kidneys and of their inside by fat.

    Args:
        hu: int16 (X, Y, Z).
        labels: uint8 (X, Y, Z).
        regions: `FatRegions.build` of this CT.
        around_mm: range of the width of the layer of fat around the kidneys, at most the regions' `reach_mm`.
        depth_mm: range of the depth below the surface from which the kidneys' inside is fat.
        around_probability: of more fat around the kidneys.
        inside_probability: of more fat in the renal sinus.
        fat_hu: range of the fat's HU.
        texture_sd_hu: SD of the fat's texture.
        edge_mm: width of the transition from tissue to fat.

    Returns:
        Changed copies of hu and labels; what was kidney and is fat now has label 0.
    """
    flat, marks = hu.astype(np.float32).reshape(-1), labels.copy()
    fat = float(rng.uniform(*fat_hu))

    def blend(index: Indices, share: Floats) -> None:
        texture = rng.standard_normal(len(index), dtype=np.float32) * np.float32(texture_sd_hu)
        flat[index] += share * (np.minimum(fat + texture - flat[index], 0.0))

    if rng.random() < around_probability:
        width = float(rng.uniform(*around_mm))
        blend(regions.around, 1.0 / (1.0 + np.exp((regions.around_mm - width) / edge_mm)))
    if rng.random() < inside_probability:
        share = 1.0 / (1.0 + np.exp((float(rng.uniform(*depth_mm)) - regions.depth_mm) / edge_mm))
        blend(regions.kidney, share)
        marks.reshape(-1)[regions.kidney[share > 0.5]] = 0
    return np.rint(flat).astype(np.int16).reshape(hu.shape), marks


def _open_to_hilum(depth: Floats, kidney: Mask, filled: Mask, spacing: Doubles, reach_mm: float) -> Floats:
    """`depth`, carried from each kidney's inside to its hilum: the side where its sinus lies."""
    result = depth.copy()
    parts, count = ndimage.label(filled)
    for number in range(1, count + 1):
        mine = parts == number
        sinus = mine & ~kidney
        if not sinus.any():
            continue
        towards = (np.argwhere(sinus).mean(0) - np.argwhere(mine & kidney).mean(0)) * spacing
        towards[2] = 0.0  # a hilum opens sideways
        length = float(np.linalg.norm(towards))
        if length < 1.0:
            continue
        inside = np.where(mine, depth, np.float32(0))
        for mm in np.arange(2.0, reach_mm, 2.0):
            shift = np.rint(towards / length * mm / spacing).astype(int)
            np.maximum(result, np.where(mine, np.roll(inside, shift, (0, 1, 2)), 0), out=result)
    return result
