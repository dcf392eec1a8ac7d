"""How far the camera of the 3-D view stands from what it looks at, and when it looks anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

_OUTGROWN = 2.0  # times as large
_MARGIN = 1.06  # of the view around the box


def distance_to_fit(
    size_mm: Sequence[float] | NDArray[np.float64],
    view_angle: float,
    aspect: float,
    towards: Sequence[float] = (0.0, 1.0, 0.0),
) -> float:
    """The distance in mm from a box's centre at which a camera sees all of the box, and no more.

    Args:
        size_mm: the box along x, y and z; z is up in the view.
        view_angle: the camera's vertical angle of view in degrees.
        aspect: the view's width by its height.
        towards: from the box to the camera, not along z.
    """
    along = np.asarray(towards, np.float64) / np.linalg.norm(towards)
    across = np.cross(along, (0.0, 0.0, 1.0))
    across /= np.linalg.norm(across)
    corners = np.array(list(product((-0.5, 0.5), repeat=3))) * np.asarray(size_mm, np.float64)
    x, y, z = np.array([across, along, np.cross(across, along)]) @ corners.T
    half_height = np.maximum(np.maximum(np.abs(z), np.abs(x) / max(aspect, 1e-6)), 1e-3)
    return float((y + half_height * _MARGIN / math.tan(math.radians(view_angle) / 2)).max())


def outgrown(fitted_mm: Sequence[float] | NDArray[np.float64], size_mm: Sequence[float] | NDArray[np.float64]) -> bool:
    """Whether objects are so much larger than those that the camera was fitted to that it has to be fitted again."""
    return max(size_mm) > _OUTGROWN * max(fitted_mm)
