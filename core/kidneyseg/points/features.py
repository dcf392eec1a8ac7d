"""What the networks are shown of a point's HU; training and inference both come here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import HU_WINDOW


def hu_features(hu: NDArray[np.integer] | NDArray[np.floating], channels: int) -> NDArray[np.float32]:
    """HU (N,) clipped to HU_WINDOW and scaled to -1...1, repeated over `channels`: float32 (N, channels)."""
    low, high = HU_WINDOW
    grey = (np.clip(hu, low, high).astype(np.float32) - (low + high) / 2) / ((high - low) / 2)
    return np.repeat(grey[:, None], channels, axis=1)
