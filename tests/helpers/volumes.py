"""Made volumes that tests segment."""

from __future__ import annotations

from typing import Any

import numpy as np

from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume


def abdomen(shape: tuple[int, int, int] = (100, 80, 30)) -> tuple[Volume, np.ndarray[Any, Any]]:
    """A soft-tissue box in air with two bright balls, one of which holds a brighter one: HU, and what is expected."""
    spacing = (2.0, 2.0, 4.0)
    hu = np.full(shape, -1000, np.int16, order="F")
    hu[8:-8, 8:-8, :] = 40
    truth = np.zeros(shape, np.uint8, order="F")
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    for centre, radius, value, label in (
        ((30, 40, 15), 26.0, 150, KIDNEY),
        ((70, 40, 15), 26.0, 150, KIDNEY),
        ((70, 46, 15), 12.0, 250, TUMOUR),
    ):
        distance = sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, spacing, strict=True))
        hu[distance <= radius**2] = value
        truth[distance <= radius**2] = label
    return Volume(hu, spacing, np.diag([*spacing, 1.0]), name="box"), truth
