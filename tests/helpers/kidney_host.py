"""A procedural CT of one kidney that lesions can be put on."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def ball(shape: tuple[int, ...], spacing: Any, centre_mm: Any, axes_mm: Any) -> Array:
    """Bool mask of an ellipsoid."""
    grid = np.stack(np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij"), -1)
    return (((grid - np.asarray(centre_mm)) / np.asarray(axes_mm)) ** 2).sum(-1) < 1


def host(
    spacing: tuple[float, ...] = (1.5, 1.5, 1.5), kidney_hu: int = 120, size_mm: tuple[int, ...] = (110, 110, 130)
) -> tuple[Array, Array, Array, Array]:
    """HU, labels, organs and spine of a kidney of some 150 mL in fat, a spine beside it and a liver above it."""
    rng = np.random.default_rng(7)
    shape = tuple(round(n / s) for n, s in zip(size_mm, spacing, strict=True))
    hu = np.full(shape, -95.0)
    kidney = ball(shape, spacing, (60, 55, 60), (27, 25, 52))
    liver = ball(shape, spacing, (55, 55, 150), (60, 60, 40)) & ~kidney
    spine = ball(shape, spacing, (0, 50, 60), (22, 22, 200))
    hu[kidney], hu[liver], hu[spine] = kidney_hu, 70, 500
    hu += rng.normal(0, 12, shape)
    organs = np.where(liver, 6, 0).astype(np.uint8)
    organs[kidney] = 2
    return np.asfortranarray(hu.astype(np.int16)), np.asfortranarray(kidney.astype(np.uint8)), organs, spine
