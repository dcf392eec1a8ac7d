"""The CT as a deck of slices for the 3-D pane: some of its slices as pictures that stand where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import HU_WINDOW
from kidneyseg_gui.slices import PLANES

if TYPE_CHECKING:
    from kidneyseg.imaging.volume import Volume

_MOST_SHEETS = 14
_MOST_PIXELS = 256  # along an edge: a sheet is seen at a slant, beside others
_AIR_HU = HU_WINDOW[0] + 1  # what is darker is left out, so that the sheets behind are seen
_DARKEST = 40  # of what is shown, or fat would be as dark as the background


@dataclass(frozen=True, eq=False)
class Sheet:
    """One slice as a picture. Positions are mm from the volume's corner, as in `Scene`."""

    origin_mm: NDArray[np.float64]  #: (3,), the picture's corner at its first row and column
    first_row_mm: NDArray[np.float64]  #: (3,), from there to the end of the first row
    first_column_mm: NDArray[np.float64]  #: (3,), from there to the end of the first column
    pixels: NDArray[np.uint8]  #: uint8 (rows, columns, 4): red, green, blue, and 0 for air or 255


def deck_of(volume: Volume) -> tuple[Sheet, ...]:
    """Up to 14 slices across the axis along which the scanner stacked them, evenly spread, in its order.

    Grey goes from the darkest to the brightest HU that the networks tell apart (`HU_WINDOW`).
    """
    axis, steps = volume.slice_axis, volume.spacing_mm
    plane = next(one for one in PLANES if one.normal == axis)
    count = min(_MOST_SHEETS, volume.shape[axis])
    sheets = []
    for index in np.linspace(0, volume.shape[axis] - 1, count).round().astype(int).tolist():
        hu, (rows, columns) = _shrunk(plane.slice_of(volume.hu, index))
        corner, along = np.zeros(3), np.zeros((2, 3))
        corner[axis] = (index + 0.5) * steps[axis]
        along[0, plane.column], along[1, plane.row] = columns * steps[plane.column], rows * steps[plane.row]
        sheets.append(Sheet(corner, along[0], along[1], _coloured(hu)))
    return tuple(sheets)


def _shrunk(hu: NDArray[np.int16]) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """The means of equal blocks of pixels, and how many rows and columns of pixels these cover."""
    a, b = (-(-n // _MOST_PIXELS) for n in hu.shape)
    rows, columns = hu.shape[0] // a, hu.shape[1] // b
    blocks = hu[: rows * a, : columns * b].reshape(rows, a, columns, b)
    return blocks.mean(axis=(1, 3), dtype=np.float32), (rows * a, columns * b)


def _coloured(hu: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = HU_WINDOW
    share = np.clip((hu - low) / (high - low), 0, 1)
    pixels = np.full((*hu.shape, 4), 255, np.uint8)
    pixels[..., :3] = (_DARKEST + share * (255 - _DARKEST)).round()[..., None]
    pixels[..., 3] = np.where(hu < _AIR_HU, 0, 255)
    return pixels
