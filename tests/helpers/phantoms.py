"""Coarse phantoms, made once for all tests: the anatomy is in mm, so it is the same at any voxel size."""

from __future__ import annotations

from functools import cache

import numpy as np

from kidneyseg.imaging.volume import ContrastPhase, Volume
from kidneyseg.phantom.abdomen import make_phantom

SHAPE, SPACING = (96, 96, 48), (4.0, 4.0, 6.0)


@cache
def coarse_phantom(seed: int, phase: ContrastPhase = "portal", tumours: int = 1) -> tuple[Volume, np.ndarray]:
    """A phantom and its labels, which must not be changed."""
    volume, labels = make_phantom(seed, SHAPE, SPACING, phase=phase, tumours=tumours)
    volume.hu.flags.writeable = labels.flags.writeable = False
    return volume, labels
