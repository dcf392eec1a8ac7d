"""Healthy parenchyma made thicker in places: humps and columns of a kidney that look like tumours and are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kidneyseg.synthesis.blending import blend, make_patch
from kidneyseg.synthesis.lesion_library import LesionLibrary, TumourHU
from kidneyseg.synthesis.placement import MOST_BLOCKED, Host, place

# Volume in mL, uniform in its logarithm, and how much of it lies within the kidney's hull.
_ML, _INSIDE = (3.0, 60.0), (0.85, 1.0)
# Percentile of the kidney's HU, from its middle to its cortex, that a bulge has, and the SD in HU around that.
_PERCENTILE, _HU_SD = (50.0, 70.0), 6.0
# Kidneys darker than this have too little contrast agent to tell a bulge from a tumour.
_LEAST_HU = 90.0


def insert_pseudotumour(
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    spacing_mm: tuple[float, float, float],
    library: LesionLibrary,
    rng: np.random.Generator,
    *,
    hosts: list[Host],
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Give one enhanced kidney an even bulge of its own HU, shaped and placed as a tumour that grows inward.

    Real tumours are as even and as bright as their enhanced kidney too rarely to let that pass for one.

    Args:
        hu: int16 (X, Y, Z) of any spacing.
        labels: uint8 (X, Y, Z): 1 kidney. No tumour yet: a bulge may cover one.
        spacing_mm: voxel edge lengths.
        library: whose tumours' shapes it takes.
        rng: draws kidney, shape, size and place.
        hosts: the kidneys, from `find_hosts`, in this CT's or another contrast phase.

    Returns:
        New hu and labels (1 where the bulge is); the same arrays when no kidney is bright enough or has room.

    Raises:
        InputError: the library holds no tumour.
    """
    bright = [host for host in hosts if np.median(host.hu_in(hu)) >= _LEAST_HU]
    if not bright:
        return hu, labels
    host = bright[int(rng.integers(len(bright)))]
    ml = min(float(np.exp(rng.uniform(*np.log(_ML)))), 0.5 * host.volume_ml)
    lesion, _ = library.draw(rng, "tumour", about_ml=ml)
    lesion = replace(lesion, inside=max(lesion.inside, float(rng.uniform(*_INSIDE))))
    placement = place(lesion, ml, host, rng)
    if placement.blocked > MOST_BLOCKED:
        return hu, labels
    new_hu, new_labels = hu.copy(order="K"), labels.copy(order="K")
    patch = make_patch(lesion, placement, host, np.asarray(spacing_mm, dtype=np.float64), hu.shape)
    level = float(np.percentile(host.hu_in(hu), rng.uniform(*_PERCENTILE)) + rng.normal(0.0, _HU_SD))
    blend(new_hu, new_labels, patch, "cyst", TumourHU(level, 0.0, 0.0, 0.0), rng)
    return new_hu, new_labels
