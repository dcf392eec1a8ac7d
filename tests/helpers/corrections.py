"""A small anisotropic CT with labels, and a mask after a correction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.editing import Voxels
from kidneyseg.imaging.volume import Volume

SHAPE, SPACING = (17, 15, 11), (0.8, 1.0, 2.5)


def ct(shape: tuple[int, int, int] = SHAPE, spacing: tuple[float, float, float] = SPACING) -> Volume:
    """A CT of random HU from -100 to 300."""
    hu = np.random.default_rng(5).integers(-100, 301, shape).astype(np.int16)
    return Volume(np.asfortranarray(hu), spacing, np.diag([*spacing, 1.0]))


def ball(
    centre: tuple[float, float, float],
    radius_mm: float,
    shape: tuple[int, int, int] = SHAPE,
    spacing: tuple[float, float, float] = SPACING,
) -> NDArray[np.bool_]:
    """The voxels within `radius_mm` of a centre in voxel coordinates."""
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    square = sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, spacing, strict=True))
    return np.asfortranarray(square <= radius_mm**2 * (1 + 1e-6))


def some_labels(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.uint8]:
    """Random labels 0 to 3, half of them 0."""
    labels = np.random.default_rng(seed).choice(4, shape, p=[0.5, 0.2, 0.2, 0.1])
    return np.asfortranarray(labels.astype(np.uint8))


def after(labels: NDArray[np.uint8], voxels: Voxels) -> NDArray[np.uint8]:
    """The labels with the voxels changed, which must all differ, in ascending order."""
    flat = labels.reshape(-1, order="F").copy()
    assert voxels.index.dtype == np.uint32
    assert voxels.labels.dtype == np.uint8
    assert (np.diff(voxels.index.astype(np.int64)) > 0).all()
    assert (flat[voxels.index] != voxels.labels).all()
    flat[voxels.index] = voxels.labels
    return flat.reshape(labels.shape, order="F")
