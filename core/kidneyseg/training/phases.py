"""Other contrast phases of the same CT, organ by organ: kidney, vessels, liver and spleen each move their own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Phase = Literal["plain", "arterial", "portal", "nephrographic", "excretory"]
PHASES: tuple[Phase, ...] = get_args(Phase)
_PHASE_ODDS = (0.22, 0.30, 0.22, 0.16, 0.10)

# BTCV's organ numbers.
_SPLEEN, _KIDNEYS, _LIVER, _AORTA, _CAVA, _PORTAL, _PANCREAS = 1, (2, 3), 6, 8, 9, 10, 11
_ADRENALS = (12, 13)
# Target HU (low, high) of each organ's median by phase; typical of abdominal protocols at 100-120 kV.
_TARGETS: dict[Phase, dict[int, tuple[float, float]]] = {
    "plain": {1: (38, 55), 6: (35, 66), 8: (30, 50), 9: (30, 48), 10: (30, 46), 11: (25, 45), 12: (15, 35)},
    "arterial": {1: (95, 180), 6: (52, 82), 8: (230, 400), 9: (35, 110), 10: (40, 100), 11: (70, 125), 12: (50, 90)},
    "portal": {1: (95, 140), 6: (80, 125), 8: (115, 190), 9: (85, 160), 10: (120, 190), 11: (60, 110), 12: (50, 90)},
    "nephrographic": {
        1: (85, 125),
        6: (80, 120),
        8: (95, 150),
        9: (95, 145),
        10: (100, 150),
        11: (60, 95),
        12: (45, 75),
    },
    "excretory": {1: (70, 100), 6: (65, 100), 8: (75, 115), 9: (75, 115), 10: (75, 115), 11: (50, 80), 12: (35, 60)},
}
# (cortex, medulla as a share of the cortex's enhancement) by phase.
_CORTEX: dict[Phase, tuple[float, float]] = {
    "plain": (25, 42),
    "arterial": (120, 270),
    "portal": (110, 210),
    "nephrographic": (100, 190),
    "excretory": (85, 160),
}
_MEDULLA: dict[Phase, tuple[float, float]] = {
    "plain": (1.0, 1.0),
    "arterial": (0.2, 0.6),
    "portal": (0.65, 1.0),
    "nephrographic": (0.95, 1.05),
    "excretory": (0.95, 1.15),
}
_PLAIN_KIDNEY, _FAT_HU = 32.0, -95.0
_UNENHANCED_SOFT = 50.0
_BONE_HU = 190.0


@dataclass(frozen=True, eq=False)
class _Organ:
    """Voxels of one organ and a little around it; arrays of equal length.

    Attributes:
        index: flat indices (C order) into the volume.
        weight: how far each belongs to the organ, 0...1, soft at its edge.
        smooth: HU without noise.
        median: the organ's HU.
    """

    index: NDArray[np.int64]
    weight: NDArray[np.float32]
    smooth: NDArray[np.float32]
    median: float


@dataclass(frozen=True, eq=False)
class OrganWeights:
    """What `retint_organs` needs of one case on one grid, worked out once: a second or so for a 1.5 mm crop.

    Attributes:
        shape: of the grid.
        organs: soft masks by organ number; both kidneys under 2.
        cortex_depth: mm below the kidney's outer surface, at the kidney's voxels, wavering by a few mm.
        pelvis: flat indices and weights of the collecting system.
        soft: flat indices of unlabelled soft tissue: no organ, bone or fat.
    """

    shape: tuple[int, ...]
    organs: dict[int, _Organ]
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
            label13: uint8 (X, Y, Z), BTCV's organ numbers.
            spacing_mm: voxel edge lengths.
        """
        spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
        smooth = ndimage.gaussian_filter(hu, 2.0 / spacing, output=np.float32)
        organs: dict[int, _Organ] = {}
        for number in (_SPLEEN, 2, _LIVER, _AORTA, _CAVA, _PORTAL, _PANCREAS, 12):
            mask = _mask_of(label13, number)
            if mask.any():
                organs[number] = _soft_organ(mask, hu, smooth, spacing)
        bone = ndimage.binary_opening((smooth > _BONE_HU) & (label13 == 0))
        bone = ndimage.distance_transform_edt(~bone, sampling=spacing) < 6.0 if bone.any() else bone
        soft = np.flatnonzero((label13 == 0) & ~bone & (hu > 0))
        nothing = (np.zeros(0, np.int64), np.zeros(0, np.float32))
        if 2 not in organs:
            return cls(hu.shape, organs, np.zeros(0, np.float32), nothing, soft)
        depth, pelvis = _kidney_inside(_mask_of(label13, 2), hu, smooth, organs[2], spacing)
        return cls(hu.shape, organs, depth, pelvis, soft)


def retint_organs(
    hu: NDArray[np.int16],
    label13: NDArray[np.uint8],
    spacing_mm: float | tuple[float, float, float],
    rng: np.random.Generator,
    *,
    weights: OrganWeights | None = None,
    phase: Phase | None = None,
) -> NDArray[np.int16]:
    """The CT as another contrast phase might show it; noise, fat and bone stay as they are.

    Args:
        hu: int16 (X, Y, Z).
        label13: uint8 (X, Y, Z): 1 spleen, 2 and 3 kidneys, 6 liver, 8 aorta, 9 vena cava, 10 portal vein,
            11 pancreas, 12 and 13 adrenals; may be cut by the field of view.
        spacing_mm: voxel edge lengths.
        rng: chooses the phase and each organ's HU.
        weights: `OrganWeights.build` of the same arrays, to save most of the time.
        phase: "plain", "arterial", "portal", "nephrographic" or "excretory"; None draws one.

    Returns:
        int16 (X, Y, Z), not clipped to the networks' window.
    """
    parts = OrganWeights.build(hu, label13, spacing_mm) if weights is None else weights
    if phase is None:
        phase = PHASES[int(rng.choice(len(PHASES), p=_PHASE_ODDS))]
    new = np.ascontiguousarray(hu, dtype=np.float32).copy()
    flat = new.reshape(-1)
    _move_soft_tissue(flat, parts.soft, phase, rng)
    for number, organ in parts.organs.items():
        if number == 2:
            _move_kidneys(flat, parts, phase, rng)
            continue
        target = float(rng.uniform(*_TARGETS[phase][number]))
        texture = _spleen_mottling(organ, rng) if number == _SPLEEN and phase == "arterial" else None
        _move(flat, organ, np.full(len(organ.index), target, np.float32), texture, rng)
    _move_pelvis(flat, parts, phase, rng)
    return np.clip(np.rint(new), -1024, 3071).astype(np.int16)


def _mask_of(label13: NDArray[np.uint8], number: int) -> NDArray[np.bool_]:
    both = {2: _KIDNEYS, 12: _ADRENALS}.get(number)
    return np.asarray(label13 == number if both is None else (label13 == both[0]) | (label13 == both[1]))


def _soft_organ(
    mask: NDArray[np.bool_], hu: NDArray[np.int16], smooth: NDArray[np.float32], spacing: NDArray[np.float64]
) -> _Organ:
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    margin = np.ceil(3.0 / spacing).astype(int) + 1
    box = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(box, margin, strict=True))
    blurred = ndimage.gaussian_filter(mask[box].astype(np.float32), 1.0 / spacing)
    # Steeper than the blur alone: 1 inside the mask's own voxels, gone one voxel further out.
    soft = np.clip(1.6 * blurred - 0.1, 0.0, 1.0)
    where = np.argwhere(soft > 0.03) + [side.start for side in box]
    index = np.ravel_multi_index(tuple(where.T), mask.shape)
    median = float(np.median(hu[mask]))
    return _Organ(index, soft[soft > 0.03], smooth.reshape(-1)[index], median)


def _kidney_inside(
    kidney: NDArray[np.bool_],
    hu: NDArray[np.int16],
    smooth: NDArray[np.float32],
    organ: _Organ,
    spacing: NDArray[np.float64],
) -> tuple[NDArray[np.float32], tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Depth below the outer surface at the organ's voxels, and the collecting system's voxels and weights."""
    box = ndimage.find_objects(kidney.view(np.uint8))[0]
    margin = np.ceil(14.0 / spacing).astype(int)
    box = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(box, margin, strict=True))
    part = kidney[box]
    # Closing fills the sinus: its walls are medulla, not cortex.
    grown = ndimage.distance_transform_edt(~part, sampling=spacing) <= 10.0
    filled = ndimage.distance_transform_edt(grown, sampling=spacing) > 10.0
    filled |= part
    depth = ndimage.distance_transform_edt(filled, sampling=spacing).astype(np.float32)
    # Columns of cortex reach down between the pyramids: a fixed pattern, like an anatomy.
    pattern = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(depth.shape), 3.0 / spacing)
    depth += (2.5 / max(float(pattern.std()), 1e-9)) * pattern.astype(np.float32)
    whole = np.zeros(kidney.shape, np.float32)
    whole[box] = depth
    inner = filled & (smooth[box] > -20.0) & (smooth[box] < 0.55 * organ.median + 10.0) & (depth > 9.0)
    inner = ndimage.binary_opening(inner)
    soft = np.clip(1.5 * ndimage.gaussian_filter(inner.astype(np.float32), 1.0 / spacing), 0.0, 1.0)
    where = np.argwhere(soft > 0.05) + [side.start for side in box]
    index = np.ravel_multi_index(tuple(where.T), kidney.shape)
    return whole.reshape(-1)[organ.index], (index, soft[soft > 0.05])


def _tissue_share(hu: NDArray[np.float32], median: float) -> NDArray[np.float32]:
    """How much of a voxel is organ rather than fat: partial volume, read off its HU."""
    return np.asarray(np.clip((hu - _FAT_HU) / max(median - 12.0 - _FAT_HU, 40.0), 0.0, 1.0), dtype=np.float32)


def _move(
    flat: NDArray[np.float32],
    organ: _Organ,
    target: NDArray[np.float32],
    texture: NDArray[np.float32] | None,
    rng: np.random.Generator,
) -> None:
    """Shift an organ's voxels from its median to `target`; structure is scaled with the enhancement, noise kept."""
    before = flat[organ.index]
    share = organ.weight * _tissue_share(organ.smooth, organ.median)
    enhanced_before = max(organ.median - 25.0, 20.0)
    scale = float(np.clip((np.median(target) - 25.0) / enhanced_before, 0.4, 1.5)) * float(rng.uniform(0.9, 1.1))
    structure = np.clip(organ.smooth - organ.median, -60.0, 60.0)
    shift = target - organ.median + (scale - 1.0) * structure
    if texture is not None:
        shift = shift + texture
    flat[organ.index] = before + share * shift


def _move_kidneys(flat: NDArray[np.float32], parts: OrganWeights, phase: Phase, rng: np.random.Generator) -> None:
    kidney = parts.organs[2]
    cortex = float(rng.uniform(*_CORTEX[phase]))
    medulla = _PLAIN_KIDNEY + (cortex - _PLAIN_KIDNEY) * float(rng.uniform(*_MEDULLA[phase]))
    thickness = float(rng.uniform(5.5, 8.0))
    outer = 1.0 / (1.0 + np.exp(np.clip((parts.cortex_depth - thickness) / 1.2, -30, 30)))
    target = medulla + (cortex - medulla) * outer
    _move(flat, kidney, target.astype(np.float32), None, rng)


def _move_pelvis(flat: NDArray[np.float32], parts: OrganWeights, phase: Phase, rng: np.random.Generator) -> None:
    """Contrast agent in the collecting system late on; plain urine before."""
    index, weight = parts.pelvis
    target = float(rng.uniform(200, 700)) if phase == "excretory" else float(rng.uniform(0, 25))
    flat[index] += weight * (target - flat[index]) * (1.0 if phase == "excretory" else 0.7)


def _spleen_mottling(organ: _Organ, rng: np.random.Generator) -> NDArray[np.float32]:
    """The arterial spleen's bands, as a wave that is different at every call."""
    return (float(rng.uniform(0.0, 1.2)) * np.clip(organ.smooth - organ.median, -40, 40)).astype(np.float32)


def _move_soft_tissue(
    flat: NDArray[np.float32], soft: NDArray[np.int64], phase: Phase, rng: np.random.Generator
) -> None:
    """Muscle and bowel change a little; unlabelled vessels lose their contrast on plain CTs."""
    if len(soft) == 0:
        return
    before = flat[soft]
    drift = float(rng.uniform(-8.0, 8.0)) * np.clip(before / 40.0, 0.0, 1.0)
    if phase == "plain":
        drift -= 0.75 * np.clip(before - _UNENHANCED_SOFT, 0.0, None)
    elif phase == "arterial":
        drift += float(rng.uniform(0.0, 1.0)) * np.clip(before - 90.0, 0.0, 80.0)
    flat[soft] = before + drift
