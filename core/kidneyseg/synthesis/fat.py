"""Patients with more fat around and inside their kidneys than those at hand: thin, C-shaped kidneys by themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.synthesis.organs import AORTA, CAVA, KIDNEYS, box_around, fill_sinus, flat_index, organ_mask

_FAT_HU = (-112.0, -88.0)
_TEXTURE_SD = 7.0
# How far fat may reach around a kidney, and how far into it: mm.
_AROUND_MM, _DEEPEST_MM = (4.0, 25.0), (9.0, 20.0)
_STEP_MM = 2.0


@dataclass(frozen=True, eq=False)
class FatRoom:
    """Where one CT's kidneys could have more fat, worked out once.

    Attributes:
        around: flat indices (C order) of voxels near a kidney that are neither kidney, large vessel nor bone.
        around_mm: how far each is from the kidneys, their sinus filled.
        kidney: flat indices of the kidneys' voxels.
        depth_mm: how deep below the outer surface each lies, or the deepest voxel beyond it away from the hilum: what
            lies between the inside and the hilum is as deep as the inside.
    """

    around: NDArray[np.int64]
    around_mm: NDArray[np.float32]
    kidney: NDArray[np.int64]
    depth_mm: NDArray[np.float32]

    @classmethod
    def of(cls, label13: NDArray[np.uint8], soft: NDArray[np.int64], spacing: NDArray[np.float64]) -> FatRoom:
        """The room in a CT with kidneys.

        Args:
            label13: uint8 (X, Y, Z), BTCV's organ numbers.
            soft: flat indices of unlabelled soft tissue, as in `OrganWeights`.
            spacing: (3,) voxel edge lengths in mm.
        """
        kidney = organ_mask(label13, KIDNEYS)
        box = box_around(kidney, _AROUND_MM[1], spacing)
        part = kidney[box]
        filled = fill_sinus(part, spacing)
        replaceable = np.zeros(label13.shape, bool)
        replaceable.reshape(-1)[soft] = True
        replaceable |= (label13 > 0) & ~kidney & ~organ_mask(label13, AORTA) & ~organ_mask(label13, CAVA)
        outside = ndimage.distance_transform_edt(~filled, sampling=spacing).astype(np.float32)
        near = replaceable[box] & (outside <= _AROUND_MM[1])
        depth = ndimage.distance_transform_edt(filled, sampling=spacing).astype(np.float32)
        return cls(
            flat_index(near, box, label13.shape),
            outside[near],
            flat_index(part, box, label13.shape),
            _opened(depth, part, filled, spacing)[part],
        )

    def fill(
        self, hu: NDArray[np.int16], labels: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Copies of HU and labels, both (X, Y, Z), with fat in place of tissue: what was kidney there is tissue now."""
        flat, marks = hu.astype(np.float32).reshape(-1), labels.copy()
        fat, blur = float(rng.uniform(*_FAT_HU)), 1.5
        if rng.random() < 0.8:
            width = float(rng.uniform(*_AROUND_MM))
            _blend(flat, self.around, 1.0 / (1.0 + np.exp((self.around_mm - width) / blur)), fat, rng)
        if rng.random() < 0.8:
            share = 1.0 / (1.0 + np.exp((float(rng.uniform(*_DEEPEST_MM)) - self.depth_mm) / blur))
            _blend(flat, self.kidney, share, fat, rng)
            marks.reshape(-1)[self.kidney[share > 0.5]] = 0
        return np.rint(flat).astype(np.int16).reshape(hu.shape), marks


def _blend(
    flat: NDArray[np.float32],
    index: NDArray[np.int64],
    share: NDArray[np.float32],
    fat: float,
    rng: np.random.Generator,
) -> None:
    texture = rng.standard_normal(len(index), dtype=np.float32) * np.float32(_TEXTURE_SD)
    flat[index] += share * (np.minimum(fat + texture - flat[index], 0.0))


def _opened(
    depth: NDArray[np.float32], kidney: NDArray[np.bool_], filled: NDArray[np.bool_], spacing: NDArray[np.float64]
) -> NDArray[np.float32]:
    """`depth`, carried from each kidney's inside to its hilum: the side where its sinus lies."""
    result = depth.copy()
    parts, count = ndimage.label(filled)
    for number in range(1, count + 1):
        mine = parts == number
        sinus = mine & ~kidney
        if not sinus.any():
            continue
        towards = (np.argwhere(sinus).mean(0) - np.argwhere(mine & kidney).mean(0)) * spacing
        towards[2] = 0.0  # hila open sideways
        length = float(np.linalg.norm(towards))
        if length < 1.0:
            continue
        inside = np.where(mine, depth, np.float32(0))
        for mm in np.arange(_STEP_MM, _DEEPEST_MM[1] + 8.0, _STEP_MM):
            shift = np.rint(towards / length * mm / spacing).astype(int)
            np.maximum(result, np.where(mine, np.roll(inside, shift, (0, 1, 2)), 0), out=result)
    return result
