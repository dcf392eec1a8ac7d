"""What the networks are shown of a point's HU; training and inference both come here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import HU_WINDOW

_LEVEL_PERCENT = 75
# Distance from the level that counts as 1.
_LEVEL_HU = np.float32(80.0)


def hu_features(hu: NDArray[np.integer] | NDArray[np.floating], channels: int) -> NDArray[np.float32]:
    """HU (N,) clipped to HU_WINDOW and scaled to -1...1, repeated over `channels`: float32 (N, channels)."""
    low, high = HU_WINDOW
    grey = (np.clip(hu, low, high).astype(np.float32) - (low + high) / 2) / ((high - low) / 2)
    return np.repeat(grey[:, None], channels, axis=1)


def kidney_level(hu: NDArray[np.integer] | NDArray[np.floating], found: NDArray[np.bool_]) -> float:
    """The HU of a find's kidney tissue: a percentile above the middle, which a tumour of half a kidney does not set.

    Args:
        hu: of the points or cells of one find, of any shape.
        found: as `hu`, which of them lie in stage 1's find itself; where none does, all count. Of no point at all: 0.
    """
    if hu.size == 0:
        return 0.0
    return float(np.percentile(hu[found] if found.any() else hu, _LEVEL_PERCENT))


def stage2_features(hu: NDArray[np.integer] | NDArray[np.floating], level: float, channels: int) -> NDArray[np.float32]:
    """What a stage 2 is shown of points of HU (N,): float32 (N, channels).

    With two channels these are HU as `hu_features` scales them, and how far they are from the kidney's level: a tumour
    is darker than its kidney in nearly any phase, while its HU may be those of another patient's kidney.
    """
    if channels != 2:
        return hu_features(hu, channels)
    offset = np.clip((hu.astype(np.float32) - np.float32(level)) / _LEVEL_HU, -2, 2)
    return np.column_stack([hu_features(hu, 1)[:, 0], offset])
