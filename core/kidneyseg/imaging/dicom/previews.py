"""A small picture of a series, to choose it by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom.assembly import read_frames
from kidneyseg.imaging.dicom.pixels import place
from kidneyseg.imaging.dicom.series import Series
from kidneyseg.progress import Progress

_WINDOW = (-160.0, 240.0)
_LARGEST = 1 << 26  # pixels


def preview(series: Series, pixels: int = 96, progress: Progress | None = None) -> NDArray[np.uint8] | None:
    """The middle slice of a series as greys.

    Args:
        series: from `find_study`.
        pixels: the most that the picture has along a side.
        progress: can cancel.

    Returns:
        uint8 (rows, columns); None where that slice cannot be read.
    """
    if not 0 < series.rows * series.columns <= _LARGEST:
        return None
    ordered = sorted(series.slices, key=lambda one: one.position or (0.0, 0.0, 0.0))
    hu = np.empty((series.rows, series.columns), np.int16)
    try:
        for frame in read_frames([ordered[len(ordered) // 2]], progress or Progress()):
            place(frame.numbers, frame.how, frame.rescale, hu)
    except (InputError, MemoryError):
        return None
    step = max(1, -(-max(hu.shape) // pixels))
    low, high = _WINDOW
    greys = (hu[::step, ::step].astype(np.float32) - low) * (255 / (high - low))
    picture: NDArray[np.uint8] = np.clip(greys, 0, 255).astype(np.uint8)
    return picture
