"""Label maps of kidneys to transplant, as KiTS has them."""

from __future__ import annotations

from functools import cache

import numpy as np

from kidney_host import Array, ball
from kidneyseg.synthesis.donor_kidneys import DonorKidney, cut_kidneys
from kidneyseg.synthesis.kidney_library import KidneyLibrary


def kidney_map(spacing: tuple[float, float, float] = (1.5, 1.5, 1.5), *, tumour: bool = True) -> Array:
    """Two kidneys of some 120 mL whose sinus opens to the middle; the right one (high x) has a tumour and a cyst."""
    shape = tuple(round(n / s) for n, s in zip((230, 100, 130), spacing, strict=True))
    labels = np.zeros(shape, np.uint8)
    for x, inward in ((50, 1), (180, -1)):
        kidney = ball(shape, spacing, (x, 50, 65), (25, 23, 48))
        labels[kidney & ~ball(shape, spacing, (x + 18 * inward, 50, 65), (20, 6, 12))] = 1
    if tumour:
        labels[ball(shape, spacing, (200, 50, 50), (15, 15, 15))] = 2
        labels[ball(shape, spacing, (185, 40, 95), (8, 8, 8))] = 3
    return labels


@cache
def donors() -> tuple[DonorKidney, ...]:
    """The kidneys of `kidney_map`, of case 3: left, then right."""
    return tuple(cut_kidneys(kidney_map(), (1.5, 1.5, 1.5), 3))


def kidney_library() -> KidneyLibrary:
    """`donors` with the HU of their case: kidney 150 (90th percentile 180), tumour 90, cyst 8."""
    return KidneyLibrary(donors(), np.array([[3.0, 150.0, 180.0, 90.0, 25.0, 8.0]], np.float32))
