"""Renal pseudotumours: healthy parenchyma thicker in places (columns of Bertin, humps), which is no tumour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kidneyseg.arrays import HU, Labels, Range, Rng, Spacing
from kidneyseg.points.cloud import KIDNEY
from kidneyseg.synthesis.blending import blend, make_patch
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.synthesis.placement import MAX_BLOCKED, Host, place
from kidneyseg.synthesis.texture import TumourHU


def insert_pseudotumour(
    hu: HU,
    labels: Labels,
    spacing_mm: Spacing,
    library: LesionLibrary,
    hosts: list[Host],
    rng: Rng,
    *,
    volume_ml: Range = (3.0, 60.0),
    inside: Range = (0.85, 1.0),
    percentile: Range = (50.0, 70.0),
    sd_hu: float = 6.0,
    min_kidney_hu: float = 90.0,
) -> tuple[HU, Labels]:
    """Give one enhanced kidney a homogeneous pseudotumour of its own HU, shaped as a tumour that grows inward.

    Tumours are so rarely as homogeneous and as bright as their enhanced kidney that this may count as kidney.

    Args:
        hu: int16 (X, Y, Z) of any spacing.
        labels: uint8 (X, Y, Z): 1 kidney, and no tumour yet, since a pseudotumour may cover one.
        library: whose tumours' shapes it takes.
        hosts: the kidneys, from `find_hosts`, in this or another contrast phase of the CT.
        volume_ml: range of its volume, uniform in the logarithm; at most half of the kidney's.
        inside: range of the share of it within the kidney's hull.
        percentile: range of the percentile of the kidney's HU, from its middle to its cortex, that it is given.
        sd_hu: SD of the deviation from that percentile.
        min_kidney_hu: median HU below which a kidney has too little contrast agent to tell tumours from parenchyma.

    Returns:
        New hu and labels (1 where the pseudotumour is); the same arrays when no kidney is bright enough or has room.

    Raises:
        InputError: the library holds no tumour.
    """
    bright = [host for host in hosts if np.median(host.hu_in(hu)) >= min_kidney_hu]
    if not bright:
        return hu, labels
    host = bright[int(rng.integers(len(bright)))]
    ml = min(float(np.exp(rng.uniform(*np.log(volume_ml)))), 0.5 * host.volume_ml)
    lesion, _ = library.draw(rng, "tumour", about_ml=ml)
    lesion = replace(lesion, inside=max(lesion.inside, float(rng.uniform(*inside))))
    placement = place(lesion, ml, host, rng)
    if placement.blocked > MAX_BLOCKED:
        return hu, labels
    new_hu, new_labels = hu.copy(order="K"), labels.copy(order="K")
    patch = make_patch(lesion, placement, host, np.asarray(spacing_mm, dtype=np.float64), hu.shape)
    level = float(np.percentile(host.hu_in(hu), rng.uniform(*percentile)) + rng.normal(0.0, sd_hu))
    blend(new_hu, new_labels, patch, KIDNEY, TumourHU(level, 0.0), rng)
    return new_hu, new_labels
