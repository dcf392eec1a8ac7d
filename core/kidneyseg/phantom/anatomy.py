"""A random anatomy for the phantom: body size, fat and HU.

Sizes were compared with 14 real CTs; HU per phase are rounded values from these CTs and from textbooks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kidneyseg.imaging.volume import ContrastPhase

PHASES: tuple[ContrastPhase, ...] = ("noncontrast", "arterial", "portal", "excretory")
# Median HU of each tissue in each of PHASES.
TISSUE_HU: dict[str, tuple[float, float, float, float]] = {
    "cortex": (33, 200, 165, 125),
    "medulla": (31, 90, 145, 125),
    "pelvis": (6, 8, 25, 260),
    "tumour": (34, 125, 88, 72),
    "artery": (42, 290, 150, 110),
    "vein": (40, 120, 140, 108),
    "liver": (56, 68, 105, 92),
    "portal": (40, 110, 155, 110),
    "spleen": (46, 125, 115, 95),
    "pancreas": (38, 105, 85, 70),
    "bowel": (32, 75, 95, 75),
    "muscle": (52, 56, 62, 60),
    "heart": (42, 250, 150, 110),
}
FAT = -104.0


@dataclass(frozen=True)
class Anatomy:
    """What differs between patients; lengths in mm."""

    hu: dict[str, float]  # median of each tissue of TISSUE_HU
    half_width: float  # of the body, along x
    half_depth: float  # of the body, along y
    fat: float  # thickness of the subcutaneous fat
    visceral_fat: float  # amount of fat around the organs, 0 ... 1
    lean: float  # scale of skeleton, muscles and organs, 1 on average
    oral_contrast: float  # probability that a loop of small bowel holds oral contrast agent
    vertebra: float  # distance between the middles of neighbouring vertebrae
    dome: float  # z of the top of the diaphragm

    @property
    def middle_y(self) -> float:
        """y of the body's long axis, from the spine's."""
        return self.half_depth - 60 - 22 * self.lean - 0.9 * self.fat


def draw_anatomy(rng: np.random.Generator, phase: ContrastPhase) -> Anatomy:
    """Draw an anatomy and its HU in a contrast phase, one of PHASES."""
    column = PHASES.index(phase)
    shift = rng.normal(1.0, 0.08)
    hu = {name: values[column] * shift + rng.normal(0, 3) for name, values in TISSUE_HU.items()}
    fat, visceral, lean = rng.uniform(9, 30), rng.uniform(0.3, 1.0), rng.uniform(0.9, 1.1)
    return Anatomy(
        hu=hu,
        half_width=(132 + 14 * visceral) * lean + fat,
        half_depth=(96 + 22 * visceral) * lean + fat,
        fat=fat,
        visceral_fat=visceral,
        lean=lean,
        oral_contrast=float(rng.choice([0.0, 0.6])),
        vertebra=rng.uniform(33, 38) * lean,
        dome=rng.uniform(112, 135),
    )
