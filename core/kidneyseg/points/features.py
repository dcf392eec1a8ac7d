"""The networks' input features of a point, made from its HU; used in training and inference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import HU_WINDOW

_LEVEL_PERCENT = 75
# This offset in HU from the level is 1 in the feature.
_LEVEL_HU = np.float32(80.0)


def hu_features(hu: NDArray[np.integer] | NDArray[np.floating], channels: int) -> NDArray[np.float32]:
    """HU (N,) clipped to HU_WINDOW and scaled to -1...1, repeated over `channels`: float32 (N, channels)."""
    low, high = HU_WINDOW
    grey = (np.clip(hu, low, high).astype(np.float32) - (low + high) / 2) / ((high - low) / 2)
    return np.repeat(grey[:, None], channels, axis=1)


def kidney_level(hu: NDArray[np.integer] | NDArray[np.floating], detected: NDArray[np.bool_]) -> float:
    """The HU of the kidney tissue in a region: the 75th percentile, since tumour can fill half of the detections.

    Args:
        hu: of the region's points or cells, of any shape.
        detected: as `hu`, which of them lie in stage 1's detections; where none does, all count. 0 without any point.
    """
    if hu.size == 0:
        return 0.0
    return float(np.percentile(hu[detected] if detected.any() else hu, _LEVEL_PERCENT))


def stage2_features(hu: NDArray[np.integer] | NDArray[np.floating], level: float, channels: int) -> NDArray[np.float32]:
    """Stage 2's features of points with HU (N,): float32 (N, channels).

    With two channels these are the HU as `hu_features` scales them, and their offset from the kidney's level: a tumour
    is darker than its kidney in nearly every contrast phase, while its HU may be those of another patient's kidney.
    """
    if channels != 2:
        return hu_features(hu, channels)
    offset = np.clip((hu.astype(np.float32) - np.float32(level)) / _LEVEL_HU, -2, 2)
    return np.column_stack([hu_features(hu, 1)[:, 0], offset])
