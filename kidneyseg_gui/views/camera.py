"""How far the camera of the 3-D view stands from what it looks at, and when it looks anew."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_OUTGROWN = 2.0  # times as large
_MARGIN = 1.06  # of the view around the box


def distance_to_fit(size_mm: Sequence[float] | NDArray[np.float64], view_angle: float, aspect: float) -> float:
    """The distance in mm from a box's centre at which a camera in front of it sees all of it, and no more.

    Args:
        size_mm: the box along x (across the view), y (along the line of sight) and z (up the view).
        view_angle: the camera's vertical angle of view in degrees.
        aspect: the view's width by its height.
    """
    across, depth, up = (float(size) for size in size_mm)
    half_height = max(up, across / max(aspect, 1e-6)) / 2
    return depth / 2 + max(half_height, 1e-3) * _MARGIN / math.tan(math.radians(view_angle) / 2)


def outgrown(fitted_mm: Sequence[float] | NDArray[np.float64], size_mm: Sequence[float] | NDArray[np.float64]) -> bool:
    """Whether objects are so much larger than those that the camera was fitted to that it has to be fitted again."""
    return max(size_mm) > _OUTGROWN * max(fitted_mm)
