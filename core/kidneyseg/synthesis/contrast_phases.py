"""Other contrast phases of the same CT, organ by organ: kidney, vessels, liver and spleen each move their own way."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kidneyseg.synthesis.organs import KIDNEYS, SPLEEN, Organ, OrganWeights

Phase = Literal["plain", "arterial", "portal", "nephrographic", "excretory"]
PHASES: tuple[Phase, ...] = get_args(Phase)
_PHASE_ODDS = (0.32, 0.28, 0.18, 0.13, 0.09)

# Target HU (low, high) of each organ's median by phase, as abdominal protocols at 100-120 kV show them.
# 1 spleen, 6 liver, 8 aorta, 9 vena cava, 10 portal vein, 11 pancreas, 12 adrenals.
_TARGETS: dict[Phase, dict[int, tuple[float, float]]] = {
    "plain": {1: (38, 55), 6: (35, 66), 8: (30, 50), 9: (30, 48), 10: (30, 46), 11: (25, 45), 12: (15, 35)},
    "arterial": {1: (95, 180), 6: (52, 82), 8: (230, 400), 9: (35, 110), 10: (40, 100), 11: (70, 125), 12: (50, 90)},
    "portal": {1: (95, 140), 6: (80, 125), 8: (115, 190), 9: (85, 160), 10: (120, 190), 11: (60, 110), 12: (50, 90)},
    "nephrographic": {
        1: (85, 125),
        6: (80, 120),
        8: (95, 150),
        9: (95, 145),
        10: (95, 150),
        11: (60, 95),
        12: (45, 75),
    },
    "excretory": {1: (70, 100), 6: (65, 100), 8: (75, 115), 9: (75, 115), 10: (75, 115), 11: (50, 80), 12: (35, 60)},
}
_CORTEX: dict[Phase, tuple[float, float]] = {
    "plain": (22, 42),
    "arterial": (120, 270),
    "portal": (110, 210),
    "nephrographic": (100, 190),
    "excretory": (85, 160),
}
# The medulla's enhancement as a share of the cortex'.
_MEDULLA: dict[Phase, tuple[float, float]] = {
    "plain": (1.0, 1.0),
    "arterial": (0.2, 0.65),
    "portal": (0.65, 1.0),
    "nephrographic": (0.95, 1.05),
    "excretory": (0.95, 1.15),
}
_CORTEX_MM = (5.5, 8.0)
# What share of the difference between cortex and medulla `vary_cortex` takes away, and how often; else it adds to it.
_MORE_EVEN, _LESS_EVEN, _MORE_EVEN_SHARE = (0.3, 1.0), (-0.9, -0.2), 0.65
# Tissue without contrast agent, fat, and unlabelled soft tissue that holds no agent.
_BASE_HU, _FAT_HU, _SOFT_HU = 25.0, -95.0, 50.0
_PLAIN_KIDNEY_HU = 32.0
_CT_RANGE = (-1024, 3071)


def simulate_contrast_phase(
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
    flat = hu.astype(np.float32, order="C").reshape(-1)
    _move_soft_tissue(flat, parts.soft, phase, rng)
    for number, organ in parts.organs.items():
        if number == KIDNEYS:
            _move(flat, organ, _kidney_target(parts, phase, rng))
            continue
        target = np.full(len(organ.index), rng.uniform(*_TARGETS[phase][number]), dtype=np.float32)
        if number == SPLEEN and phase == "arterial":
            # Red and white pulp fill at different times: bands of light and dark.
            target += float(rng.uniform(0.0, 35.0)) * _waves(organ, parts, float(rng.uniform(14.0, 26.0)), rng)
        _move(flat, organ, target)
    _move_pelvis(flat, parts, phase, rng)
    return _as_hu(flat, hu)


def vary_cortex(
    hu: NDArray[np.int16], weights: OrganWeights, rng: np.random.Generator, *, less: float | None = None
) -> tuple[NDArray[np.int16], OrganWeights]:
    """The CT with kidneys' cortex and medulla more alike, as late phases and poor kidneys show them, or less alike.

    Noise, fat, urine and cysts stay.

    Args:
        hu: int16 (X, Y, Z).
        weights: what `OrganWeights.build` made of `hu`; it comes back as the new CT has it.
        rng: chooses `less`.
        less: what share of the difference is taken away; a negative one adds to it. None draws one.
    """
    if (organ := weights.organs.get(KIDNEYS)) is None:
        return hu, weights
    if less is None:
        less = float(rng.uniform(*(_MORE_EVEN if rng.random() < _MORE_EVEN_SHARE else _LESS_EVEN)))
    darkest = _BASE_HU + 0.4 * (organ.median - _BASE_HU)
    enhanced = np.clip((organ.smooth - darkest) / 15.0, 0.0, 1.0)
    away = less * enhanced * (organ.smooth - organ.median)
    away[organ.smooth < organ.median] *= 1.0 - organ.edge[organ.smooth < organ.median]  # at the surface that is fat
    flat = hu.astype(np.float32, order="C").reshape(-1)
    flat[organ.index] -= organ.weight * away
    varied = replace(organ, fine=organ.fine - away, smooth=organ.smooth - away)
    return _as_hu(flat, hu), replace(weights, organs={**weights.organs, KIDNEYS: varied})


def _as_hu(flat: NDArray[np.float32], like: NDArray[np.int16]) -> NDArray[np.int16]:
    np.clip(np.rint(flat, out=flat), *_CT_RANGE, out=flat)
    order: Literal["C", "F"] = "F" if like.flags.f_contiguous else "C"
    return flat.reshape(like.shape).astype(np.int16, order=order)


def _kidney_target(parts: OrganWeights, phase: Phase, rng: np.random.Generator) -> NDArray[np.float32]:
    """Cortex outside, medulla inside, with columns of cortex reaching down between the pyramids."""
    cortex = float(rng.uniform(*_CORTEX[phase]))
    medulla = _PLAIN_KIDNEY_HU + (cortex - _PLAIN_KIDNEY_HU) * float(rng.uniform(*_MEDULLA[phase]))
    depth = parts.cortex_depth + 2.5 * _waves(parts.organs[KIDNEYS], parts, float(rng.uniform(18.0, 28.0)), rng)
    outer = 1.0 / (1.0 + np.exp(np.clip((depth - rng.uniform(*_CORTEX_MM)) / 1.2, -30.0, 30.0)))
    return np.asarray(medulla + (cortex - medulla) * outer, dtype=np.float32)


def _waves(organ: Organ, parts: OrganWeights, wavelength_mm: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """An irregular wave pattern of SD about 1 at an organ's voxels: five plane waves in random directions."""
    place = np.unravel_index(organ.index, parts.shape)
    total = np.full(len(organ.index), 0.0, dtype=np.float32)
    for _ in range(5):
        direction = rng.standard_normal(3)
        direction *= 2.0 * np.pi * parts.spacing / (wavelength_mm * rng.uniform(0.7, 1.4) * np.linalg.norm(direction))
        phase = np.full(len(organ.index), rng.uniform(0.0, 2.0 * np.pi), dtype=np.float32)
        for axis in range(3):
            phase += place[axis].astype(np.float32) * np.float32(direction[axis])
        total += np.sin(phase)
    return total * np.float32(np.sqrt(2.0 / 5.0))


def _move(flat: NDArray[np.float32], organ: Organ, target: NDArray[np.float32]) -> None:
    """Shift an organ's voxels from its median to `target` (HU at each of its voxels).

    What is not enhanced (a cyst, urine) keeps its HU deep inside the organ; at its surface, dark means partly fat.
    """
    brighter = float(np.median(target)) > organ.median
    # Noise must not be amplified with the contrast; but dimming has to take every bright detail along.
    grey = organ.smooth if brighter else organ.fine
    of_fat = (organ.fine - _FAT_HU) / max(organ.median - _FAT_HU, 60.0)
    enhanced = (grey - _BASE_HU) / max(organ.median - _BASE_HU, 1.0) if organ.median > 60.0 else of_fat
    if brighter:
        enhanced = np.minimum(1.0 + 0.5 * (enhanced - 1.0), 1.3) if organ.median > 60.0 else np.minimum(enhanced, 1.0)
        enhanced = np.where(grey < _BASE_HU + 0.4 * (organ.median - _BASE_HU), 0.0, enhanced)
    surface = np.where(organ.fine < organ.median, of_fat, enhanced)
    share = np.clip(organ.edge * surface + (1.0 - organ.edge) * enhanced, 0.0, 3.0)
    flat[organ.index] += organ.weight * share * (target - organ.median)


def _move_pelvis(flat: NDArray[np.float32], parts: OrganWeights, phase: Phase, rng: np.random.Generator) -> None:
    """Contrast agent in the collecting system late on; plain urine before."""
    index, weight = parts.pelvis
    if phase == "excretory":
        flat[index] += weight * (float(rng.uniform(200.0, 700.0)) - flat[index])
    else:
        flat[index] += 0.7 * weight * (float(rng.uniform(0.0, 25.0)) - flat[index])


def _move_soft_tissue(
    flat: NDArray[np.float32], soft: NDArray[np.int64], phase: Phase, rng: np.random.Generator
) -> None:
    """Muscle and bowel change a little; unlabelled vessels lose their contrast on plain CTs."""
    before = flat[soft]
    drift = float(rng.uniform(-8.0, 8.0)) * np.clip(before / 40.0, 0.0, 1.0)
    if phase == "plain":
        drift -= 0.75 * np.clip(before - _SOFT_HU, 0.0, None)
    flat[soft] = before + drift
