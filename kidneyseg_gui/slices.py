"""Slices of a CT, without Qt: the voxel axes of each view, grey values, overlay colours and outlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Voxel = tuple[int, int, int]
Colour = tuple[int, int, int]  # red, green, blue
_Scalar = TypeVar("_Scalar", bound=np.generic)

# The direction in which each voxel axis grows, and its opposite, in canonical (RAS) order.
TOWARDS = ("R", "A", "S")
FROM = ("L", "P", "I")

WINDOW_PRESETS: tuple[tuple[str, int, int], ...] = (
    ("Abdomen", 350, 40),
    ("Soft tissue", 400, 50),
    ("Kidney", 300, 130),
    ("Liver", 150, 90),
    ("Lung", 1400, -500),
    ("Bone", 1500, 300),
)


@dataclass(frozen=True)
class Plane:
    """One of the three orthogonal views: the voxel axis it steps through, and the axes of its columns and rows."""

    name: str
    normal: int
    column: int
    row: int

    def slice_of(self, volume: NDArray[_Scalar], index: int) -> NDArray[_Scalar]:
        """The slice at `index` as (rows, columns), both growing with the voxel index; a view, no copy."""
        chosen: list[int | slice] = [slice(None)] * 3
        chosen[self.normal] = index
        return volume[tuple(chosen)].T

    def columns_flipped(self, radiological: bool) -> bool:
        """Whether columns run right to left on the screen: the patient's right, or front, is on the left."""
        return radiological if self.column == 0 else True

    def letters(self, radiological: bool) -> tuple[str, str, str, str]:
        """Orientation letters at the left, right, top and bottom edge."""
        first, last = FROM[self.column], TOWARDS[self.column]
        if self.columns_flipped(radiological):
            first, last = last, first
        return first, last, TOWARDS[self.row], FROM[self.row]


AXIAL = Plane("Axial", normal=2, column=0, row=1)
CORONAL = Plane("Coronal", normal=1, column=0, row=2)
SAGITTAL = Plane("Sagittal", normal=0, column=1, row=2)
PLANES = (AXIAL, CORONAL, SAGITTAL)


def grey_table(window: float, level: float) -> NDArray[np.uint32]:
    """RGB32 grey for every int16 value, indexed by its bits as uint16: (65536,) uint32."""
    hu = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.float32)
    grey = np.clip((hu - (level - window / 2)) * (255.0 / max(window, 1.0)) + 0.5, 0, 255).astype(np.uint32)
    table: NDArray[np.uint32] = np.uint32(0xFF000000) | grey << np.uint32(16) | grey << np.uint32(8) | grey
    return table


def grey_image(hu: NDArray[np.int16], table: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """RGB32 picture (rows, columns) of a slice through `table`, C-contiguous."""
    return np.take(table, np.ascontiguousarray(hu).view(np.uint16))


def blend(
    image: NDArray[np.uint32], labels: NDArray[np.uint8], colours: dict[int, tuple[int, int, int]], opacity: float
) -> None:
    """Paint the labels named in `colours` (red, green, blue) over an RGB32 picture, in place."""
    flat = image.reshape(-1).view(np.uint8).reshape(-1, 4)
    where = np.flatnonzero(labels)  # a few percent of a slice: cheaper than blending all of it
    found = labels.reshape(-1)[where]
    for label, (red, green, blue) in colours.items():
        pixels = where[found == label]
        if pixels.size:
            below = flat[pixels, :3].astype(np.float32)
            flat[pixels, :3] = below + (np.array([blue, green, red], np.float32) - below) * opacity + 0.5


_UNSURE_FROM = 64  # less is not painted
_COLD, _HOT = np.array([255, 190, 255], np.float32), np.array([255, 0, 150], np.float32)  # blue, green, red


def blend_heat(image: NDArray[np.uint32], heat: NDArray[np.uint8]) -> None:
    """Paint from pink to violet over an RGB32 picture, in place; the higher `heat` (0...255), the stronger."""
    flat = image.reshape(-1).view(np.uint8).reshape(-1, 4)
    values = np.ascontiguousarray(heat).reshape(-1)
    pixels = np.flatnonzero(values >= _UNSURE_FROM)
    share = (values[pixels, None].astype(np.float32) - _UNSURE_FROM) / (255 - _UNSURE_FROM)
    below = flat[pixels, :3].astype(np.float32)
    flat[pixels, :3] = below + (_COLD + (_HOT - _COLD) * share - below) * (0.5 + 0.4 * share) + 0.5


# For each pattern of a 2 x 2 square's corners (1 top left, 2 top right, 4 bottom right, 8 bottom left): the line
# pieces of marching squares, as pairs of edges (0 top, 1 right, 2 bottom, 3 left).
_PIECES: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((3, 0),), 2: ((0, 1),), 3: ((3, 1),), 4: ((1, 2),), 5: ((3, 0), (1, 2)), 6: ((0, 2),), 7: ((3, 2),),
    8: ((2, 3),), 9: ((0, 2),), 10: ((0, 1), (2, 3)), 11: ((1, 2),), 12: ((1, 3),), 13: ((0, 1),), 14: ((0, 3),),
}  # fmt: skip
_EDGE_MIDDLE = np.array([[0.5, 0.0], [1.0, 0.5], [0.5, 1.0], [0.0, 0.5]])


def outline(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Line pieces around the true pixels, by marching squares: (N, 4) of x0, y0, x1, y1.

    Pixel (row, column) covers [column, column + 1) × [row, row + 1). Pixels at the picture's edge are closed.
    """
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size == 0:
        return np.zeros((0, 4))
    top, left = rows[0], columns[0]
    padded = np.pad(inside[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(np.uint8)
    squares = padded[:-1, :-1] | padded[:-1, 1:] << 1 | padded[1:, 1:] << 2 | padded[1:, :-1] << 3
    found = []
    for pattern, pieces in _PIECES.items():
        row, column = np.nonzero(squares == pattern)
        # A square's corners are pixel centres, and padding has shifted them by one pixel.
        corner = np.stack([column + left - 0.5, row + top - 0.5], axis=1)
        found += [np.hstack([corner + _EDGE_MIDDLE[a], corner + _EDGE_MIDDLE[b]]) for a, b in pieces]
    return np.concatenate(found)
