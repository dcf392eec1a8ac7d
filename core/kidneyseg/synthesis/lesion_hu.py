"""HU of tumours in a kidney of given HU, and the highest of cysts."""

from __future__ import annotations

import numpy as np

from kidneyseg.arrays import Rng
from kidneyseg.synthesis.texture import TumourHU

# Unenhanced HU of kidney and of solid tumour: only the enhancement above them scales with the contrast agent.
_UNENHANCED_KIDNEY_HU, _UNENHANCED_TUMOUR_HU = 32.0, 34.0
# The highest HU of a cyst in training. KiTS23's table states higher medians for a quarter of the cases, but a
# network that was trained on cysts of up to 60 HU called tumours with the HU of fluid cysts.
MOST_CYST_HU = 40.0


def any_hu(kidney_hu: float, rng: Rng) -> TumourHU:
    """HU for a tumour in a kidney of median `kidney_hu`, within and beyond what tumours show, often brighter than it.

    So that shape and context are learnt, not the contrast of most tumours (domain randomisation as in Billot et al.,
    SynthSeg, Medical Image Analysis 86, 2023).
    """
    return TumourHU(float(np.clip(kidney_hu + rng.uniform(-90.0, 80.0), 5.0, 260.0)), float(rng.uniform(15.0, 50.0)))


def typical_hu(kidney_hu: float, rng: Rng) -> TumourHU:
    """HU for a tumour in a kidney of median `kidney_hu`, of an enhancement that tumours mostly have."""
    ratio = float(np.clip(rng.normal(0.55, 0.22), 0, 1.3))
    tumour = _UNENHANCED_TUMOUR_HU + max(kidney_hu - _UNENHANCED_KIDNEY_HU, 0.0) * ratio
    return carried_over(kidney_hu, kidney_hu, tumour, 36.0, rng)


def carried_over(kidney_hu: float, source: float, tumour: float, sd: float, rng: Rng) -> TumourHU:
    """HU for a tumour in a kidney of median `kidney_hu`, from those of a real case.

    Args:
        source: median HU of the case's kidney.
        tumour: median HU of its tumour.
        sd: SD of its tumour's HU.
    """
    # Near the unenhanced kidney's HU the ratio is meaningless: hardly any agent has arrived.
    ratio = (tumour - _UNENHANCED_TUMOUR_HU) / max(source - _UNENHANCED_KIDNEY_HU, 25.0)
    median = _UNENHANCED_TUMOUR_HU + ratio * (kidney_hu - _UNENHANCED_KIDNEY_HU) + float(rng.normal(0.0, 5.0))
    spread = float(np.clip((20.0 + max(kidney_hu, 0.0)) / (20.0 + max(source, 0.0)), 0.6, 1.3))
    return TumourHU(float(np.clip(median, 5.0, 260.0)), sd * spread)
