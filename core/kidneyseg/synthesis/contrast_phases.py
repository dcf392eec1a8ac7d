"""Other contrast phases of the same CT, simulated organ by organ."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from kidneyseg.arrays import HU, Floats, Indices, Range, Rng
from kidneyseg.imaging.volume import ContrastPhase
from kidneyseg.synthesis.blending import to_int16_hu
from kidneyseg.synthesis.organs import KIDNEYS, ORGANS, SPLEEN, UNENHANCED_HU, Organ, OrganWeights

PHASES: tuple[ContrastPhase, ...] = get_args(ContrastPhase)


# Range of each organ's median HU by phase, as abdominal protocols at 100-120 kV show them: spleen, liver, aorta, vena
# cava, portal vein, pancreas, adrenals.
_ORGANS = tuple(number for number in ORGANS if number != KIDNEYS)
_ORGAN_HU: dict[ContrastPhase, tuple[Range, ...]] = {
    "noncontrast": ((38, 55), (35, 66), (30, 50), (30, 48), (30, 46), (25, 45), (15, 35)),
    "arterial": ((95, 180), (52, 82), (230, 400), (35, 110), (40, 100), (70, 125), (50, 90)),
    "portal": ((95, 140), (80, 125), (115, 190), (85, 160), (120, 190), (60, 110), (50, 90)),
    "nephrographic": ((85, 125), (80, 120), (95, 150), (95, 145), (95, 150), (60, 95), (45, 75)),
    "excretory": ((70, 100), (65, 100), (75, 115), (75, 115), (75, 115), (50, 80), (35, 60)),
}
# By phase, range of the renal cortex' HU, and of the medulla's enhancement as a share of the cortex'.
_KIDNEY: dict[ContrastPhase, tuple[Range, Range]] = {
    "noncontrast": ((22, 42), (1.0, 1.0)),
    "arterial": ((120, 270), (0.2, 0.65)),
    "portal": ((110, 210), (0.65, 1.0)),
    "nephrographic": ((100, 190), (0.95, 1.05)),
    "excretory": ((85, 160), (0.95, 1.15)),
}
# HU of tissue without contrast agent, of fat, of unlabelled soft tissue that takes up no agent, of unenhanced kidney.
_BASE_HU, _FAT_HU, _SOFT_HU, _UNENHANCED_KIDNEY_HU = 25.0, -95.0, 50.0, 32.0


def simulate_contrast_phase(
    hu: HU,
    weights: OrganWeights,
    rng: Rng,
    *,
    phase: ContrastPhase | None = None,
    phase_odds: tuple[float, float, float, float, float] = (0.32, 0.28, 0.18, 0.13, 0.09),
) -> HU:
    """The CT as another contrast phase might show it; noise, fat and bone stay as they are.

    Args:
        hu: int16 (X, Y, Z).
        weights: `OrganWeights.build` of this CT; organs may be cut by the field of view.
        phase: the phase; None draws one.
        phase_odds: probability of each of `PHASES`.

    Returns:
        int16 (X, Y, Z), not clipped to the networks' window.
    """
    if phase is None:
        phase = PHASES[int(rng.choice(len(PHASES), p=phase_odds))]
    flat = hu.astype(np.float32, order="C").reshape(-1)
    _shift_soft_tissue(flat, weights.soft, phase, rng)
    for number, organ in weights.organs.items():
        if number == KIDNEYS:
            _shift_organ(flat, organ, _kidney_target(weights, phase, rng))
            continue
        target = np.full(len(organ.index), rng.uniform(*_ORGAN_HU[phase][_ORGANS.index(number)]), dtype=np.float32)
        if number == SPLEEN and phase == "arterial":
            # Red and white pulp fill at different times, which gives bright and dark bands.
            bands = float(rng.uniform(0.0, 35.0))
            target += bands * _plane_waves(organ, weights, float(rng.uniform(14.0, 26.0)), rng)
        _shift_organ(flat, organ, target)
    _shift_pelvis(flat, weights, phase, rng)
    return _as_hu(flat, hu)


def scale_corticomedullary_contrast(hu: HU, weights: OrganWeights, reduction: float) -> tuple[HU, OrganWeights]:
    """Reduce or increase the difference between renal cortex and medulla; noise, fat, urine and cysts stay.

    Args:
        hu: int16 (X, Y, Z) with a kidney.
        weights: `OrganWeights.build` of `hu`.
        reduction: the share of the difference that is removed; a negative one increases it.

    Returns:
        The changed hu, and the weights that fit it.
    """
    organ = weights.organs[KIDNEYS]
    darkest = _BASE_HU + 0.4 * (organ.median - _BASE_HU)
    enhanced = np.clip((organ.smooth - darkest) / 15.0, 0.0, 1.0)
    removed = reduction * enhanced * (organ.smooth - organ.median)
    removed[organ.smooth < organ.median] *= 1.0 - organ.edge[organ.smooth < organ.median]  # fat, at the surface
    flat = hu.astype(np.float32, order="C").reshape(-1)
    flat[organ.index] -= organ.weight * removed
    changed = replace(organ, fine=organ.fine - removed, smooth=organ.smooth - removed)
    return _as_hu(flat, hu), replace(weights, organs={**weights.organs, KIDNEYS: changed})


def _as_hu(flat: Floats, like: HU) -> HU:
    order: Literal["C", "F"] = "F" if like.flags.f_contiguous else "C"
    return to_int16_hu(flat).reshape(like.shape).copy(order=order)


def _kidney_target(weights: OrganWeights, phase: ContrastPhase, rng: Rng) -> Floats:
    """HU of cortex outside and medulla inside, with columns of cortex reaching down between the pyramids."""
    cortex_hu, medulla_share = _KIDNEY[phase]
    cortex = float(rng.uniform(*cortex_hu))
    medulla = _UNENHANCED_KIDNEY_HU + (cortex - _UNENHANCED_KIDNEY_HU) * float(rng.uniform(*medulla_share))
    waves = _plane_waves(weights.organs[KIDNEYS], weights, float(rng.uniform(18.0, 28.0)), rng)
    depth = weights.cortex_depth + 2.5 * waves
    thickness_mm = rng.uniform(5.5, 8.0)
    outer = 1.0 / (1.0 + np.exp(np.clip((depth - thickness_mm) / 1.2, -30.0, 30.0)))
    return np.asarray(medulla + (cortex - medulla) * outer, dtype=np.float32)


def _plane_waves(organ: Organ, weights: OrganWeights, wavelength_mm: float, rng: Rng) -> Floats:
    """An irregular wave pattern of SD about 1 at an organ's voxels: five plane waves in random directions."""
    place = np.unravel_index(organ.index, weights.shape)
    total = np.full(len(organ.index), 0.0, dtype=np.float32)
    for _ in range(5):
        direction = rng.standard_normal(3)
        direction *= 2.0 * np.pi * weights.spacing / (wavelength_mm * rng.uniform(0.7, 1.4) * np.linalg.norm(direction))
        angle = np.full(len(organ.index), rng.uniform(0.0, 2.0 * np.pi), dtype=np.float32)
        for axis in range(3):
            angle += place[axis].astype(np.float32) * np.float32(direction[axis])
        total += np.sin(angle)
    return total * np.float32(np.sqrt(2.0 / 5.0))


def _shift_organ(flat: Floats, organ: Organ, target: Floats) -> None:
    """Shift an organ's voxels, in place, from its median to `target` (HU at each of its voxels).

    What is not enhanced (a cyst, urine) keeps its HU deep inside the organ; at its surface, dark voxels are partly fat.
    """
    brighter = float(np.median(target)) > organ.median
    # Brightening must not amplify noise; dimming has to reach every bright detail.
    grey = organ.smooth if brighter else organ.fine
    of_fat = (organ.fine - _FAT_HU) / max(organ.median - _FAT_HU, 60.0)
    contrasted = organ.median > UNENHANCED_HU
    enhanced = (grey - _BASE_HU) / max(organ.median - _BASE_HU, 1.0) if contrasted else of_fat
    if brighter:
        enhanced = np.minimum(1.0 + 0.5 * (enhanced - 1.0), 1.3) if contrasted else np.minimum(enhanced, 1.0)
        enhanced = np.where(grey < _BASE_HU + 0.4 * (organ.median - _BASE_HU), 0.0, enhanced)
    surface = np.where(organ.fine < organ.median, of_fat, enhanced)
    share = np.clip(organ.edge * surface + (1.0 - organ.edge) * enhanced, 0.0, 3.0)
    flat[organ.index] += organ.weight * share * (target - organ.median)


def _shift_pelvis(flat: Floats, weights: OrganWeights, phase: ContrastPhase, rng: Rng) -> None:
    """Contrast agent in the collecting system in the excretory phase; unenhanced urine before. In place."""
    index, weight = weights.pelvis
    if phase == "excretory":
        flat[index] += weight * (float(rng.uniform(200.0, 700.0)) - flat[index])
    else:
        flat[index] += 0.7 * weight * (float(rng.uniform(0.0, 25.0)) - flat[index])


def _shift_soft_tissue(flat: Floats, soft: Indices, phase: ContrastPhase, rng: Rng) -> None:
    """Change muscle and bowel a little, in place; unlabelled vessels lose their contrast on noncontrast CTs."""
    before = flat[soft]
    shift = float(rng.uniform(-8.0, 8.0)) * np.clip(before / 40.0, 0.0, 1.0)
    if phase == "noncontrast":
        shift -= 0.75 * np.clip(before - _SOFT_HU, 0.0, None)
    flat[soft] = before + shift
