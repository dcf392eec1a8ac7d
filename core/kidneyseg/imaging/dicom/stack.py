"""Stacks the slices of a series along their normal: duplicates, gaps, uneven spacing and tilted gantries."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, degrees
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.affines import SPACING_RANGE_MM
from kidneyseg.imaging.dicom.series import Series
from kidneyseg.imaging.dicom.slices import Slice
from kidneyseg.imaging.geometry import MIN_SLICES
from kidneyseg.plurals import counted

# Smaller steps along the normal are none.
_ONE_PLACE_MM = 0.01
_BESIDE_MM = 1.0
_UNEVEN_SHARE = 0.1  # of the spacing: scanners round positions to .1 mm
_NEAR_SHARE = 0.01  # of the spacing: a plane so near to a slice is that slice
_TILTED_PIXELS = 0.1  # of sideways displacement between the first slice and any other
_LARGEST_GAP_MM = 20.0
_LONGEST_EDGE_OFF = 0.01  # of the lengths of the axes and their angle
_MOST_PLANES = 2.0  # for each slice
_MOST_ROWS = 2.0
_FEWEST_PIXELS, _MOST_PIXELS = MIN_SLICES, 1 << 13  # along an edge; NIfTI cannot hold more than four times that


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order along the normal, and the planes of the grid that they give."""

    slices: tuple[Slice, ...] = field(repr=False)
    directions: NDArray[np.float64]  #: (2, 3), unit vectors in LPS along a row and along a column
    spacing_mm: tuple[float, float, float]  #: between columns, rows and planes
    origin_mm: NDArray[np.float64]  #: (3,), LPS mm of the centre of the grid's first voxel
    shape: tuple[int, int, int]  #: columns, rows and planes of the grid
    along_mm: NDArray[np.float64] = field(
        repr=False
    )  #: (slices,), where each lies along the normal, from the first plane on
    #: for each plane, where it lies among the slices: 2.25 is a quarter of the way from slice 2 to slice 3
    planes: NDArray[np.float64] = field(repr=False)
    #: (slices, 2), the grid's column and row at which the first pixel of each slice lies; zero unless tilted
    corners: NDArray[np.float64] = field(repr=False)
    #: of slices that lie in one place, the one that was taken and another
    copies: tuple[tuple[Slice, Slice], ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()  #: sentences for the user

    @property
    def tilted(self) -> bool:
        """Whether the slices are displaced sideways."""
        return bool(self.corners.any())

    @property
    def resampled(self) -> bool:
        """Whether the planes are not the slices."""
        return len(self.planes) != len(self.slices) or bool((self.planes % 1).any())


def stack_slices(series: Series, name: str) -> Stack:
    """Order a series and find its grid.

    Slices are ordered by their position along the normal, whatever their names and numbers are. One gap, or uneven
    spacing, gives planes between slices; slices that are displaced sideways (a tilted gantry) get a wider grid with
    right angles. `Stack.notes` says so.

    Raises:
        InputError: slices do not say where they lie or how large a pixel is; two lie beside each other; a gap is larger
            than 20 mm; fewer than 8 slices remain.
    """
    directions = _directions(_orientation(series, name), name)
    rows_mm, columns_mm = _pixel_spacing(series, name)
    normal = np.cross(directions[0], directions[1])
    slices, positions, along, copies = _in_order(series, normal, name)
    spacing = _planes(along, name)
    corners, margin, said = _corners(positions, directions, (columns_mm, rows_mm), series, name)
    twice = f"{counted(len(copies), 'slice')} lay where another does; one of each was taken."
    origin = (
        positions[0]
        + normal * spacing.start
        - directions[0] * columns_mm * corners[0, 0]
        - directions[1] * rows_mm * corners[0, 1]
    )
    return Stack(
        slices=tuple(slices),
        directions=directions,
        spacing_mm=(columns_mm, rows_mm, spacing.step),
        origin_mm=origin,
        shape=(series.columns + margin[0], series.rows + margin[1], len(spacing.planes)),
        along_mm=along - along[0] - spacing.start,
        planes=spacing.planes,
        corners=corners,
        copies=copies,
        notes=((twice,) if copies else ()) + tuple(spacing.notes) + tuple(said),
    )


def _orientation(series: Series, name: str) -> tuple[float, ...]:
    """The orientation of the slices. Raises InputError where they are no images, or do not say where they lie."""
    if not (_FEWEST_PIXELS <= series.rows <= _MOST_PIXELS and _FEWEST_PIXELS <= series.columns <= _MOST_PIXELS):
        raise InputError(f"{name} has slices of {series.rows} rows and {series.columns} columns. Export it again.")
    orientation = series.slices[0].orientation
    if orientation is None or any(one.position is None for one in series.slices):
        raise InputError(
            f"{name} has slices that do not say where they lie (Image Position and Orientation are missing). "
            "Export the series again from the PACS, not as anonymised pictures."
        )
    return orientation


class _Ordered(NamedTuple):
    """Slices by their place along the normal, without copies."""

    slices: list[Slice]
    positions: NDArray[np.float64]  #: (slices, 3), LPS mm
    along_mm: NDArray[np.float64]  #: (slices,), along the normal
    copies: tuple[tuple[Slice, Slice], ...]  #: see `Stack`


def _in_order(series: Series, normal: NDArray[np.float64], name: str) -> _Ordered:
    """Order slices along the normal. Raises InputError where too few are left."""
    positions = np.array([one.position for one in series.slices])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    slices = [series.slices[i] for i in order]
    kept, copies = _without_duplicates(along[order], positions[order], name)
    if len(kept) < MIN_SLICES:
        raise InputError(f"{name} has only {counted(len(kept), 'slice')}; it takes {MIN_SLICES}. Open all of it.")
    pairs = tuple((slices[one], slices[other]) for one, other in copies)
    return _Ordered([slices[i] for i in kept], positions[order][kept], along[order][kept], pairs)


def _directions(orientation: tuple[float, ...], name: str) -> NDArray[np.float64]:
    along = np.array(orientation).reshape(2, 3)
    lengths = np.linalg.norm(along, axis=1)
    if np.abs(lengths - 1).max() > _LONGEST_EDGE_OFF or abs(along[0] @ along[1]) > _LONGEST_EDGE_OFF:
        raise InputError(f"{name} has a damaged orientation: its axes are not at right angles. Export it again.")
    along /= lengths[:, None]
    along[1] -= along[0] * (along[0] @ along[1])
    along[1] /= np.linalg.norm(along[1])
    return along


def _pixel_spacing(series: Series, name: str) -> tuple[float, float]:
    """Between rows and between columns, of all slices."""
    found = {one.spacing for one in series.slices}
    first = next(iter(found))
    if first is None or None in found:
        raise InputError(f"{name} does not say how large its pixels are (Pixel Spacing is missing). Export it again.")
    if not all(SPACING_RANGE_MM[0] <= size <= SPACING_RANGE_MM[1] for one in found for size in one or ()):
        raise InputError(f"{name} has pixels of {first[0]:g} × {first[1]:g} mm, which no CT has. Export it again.")
    if len(found) > 1 and not np.allclose(list(found), first, rtol=1e-4):  # type: ignore[arg-type] # None is refused
        raise InputError(f"{name} has slices with pixels of different sizes. Export one reconstruction as a series.")
    return first


def _without_duplicates(
    along: NDArray[np.float64], positions: NDArray[np.float64], name: str
) -> tuple[list[int], list[tuple[int, int]]]:
    """One slice of each place, and each other one with that."""
    kept, copies = [0], []
    for i in range(1, len(along)):
        if along[i] - along[kept[-1]] > _ONE_PLACE_MM:
            kept.append(i)
        elif np.linalg.norm(positions[i] - positions[kept[-1]]) > _BESIDE_MM:
            raise InputError(
                f"{name} has slices beside each other in one plane. Export one reconstruction as a series."
            )
        else:
            copies.append((kept[-1], i))
    return kept, copies


class _Spacing(NamedTuple):
    """How the planes of a grid lie along the normal."""

    step: float  #: mm between planes
    start: float  #: mm from the first slice to the first plane
    planes: NDArray[np.float64]  #: where each lies among the slices
    notes: list[str]


def _planes(along: NDArray[np.float64], name: str) -> _Spacing:
    """The grid's planes for slices at `along` mm: evenly spaced slices are planes themselves."""
    steps, numbers = np.diff(along), np.arange(len(along), dtype=np.float64)
    extent, count = float(along[-1] - along[0]), len(along)
    even, start = extent / (count - 1), 0.0
    if (off := _largest_deviation(along, even, start)) > _ONE_PLACE_MM:
        even, fitted = (float(x) for x in np.polyfit(numbers, along, 1))
        start = fitted - float(along[0])
        off = _largest_deviation(along, even, start)
    if off <= max(_ONE_PLACE_MM, _UNEVEN_SHARE * even):
        if not SPACING_RANGE_MM[0] <= even <= SPACING_RANGE_MM[1]:
            raise InputError(f"{name} has slices {even:g} mm apart, which no CT has. Export it again.")
        rounded = f"The slices are up to {off:.2g} mm off even spacing; they were taken as they are."
        return _Spacing(even, start, numbers, [rounded] if off > 2 * _ONE_PLACE_MM else [])
    usual = float(np.median(steps))
    if steps.max() > max(_LARGEST_GAP_MM, 2.5 * usual):
        raise InputError(
            f"{name} has a gap of {steps.max():.0f} mm between its slices, which are {usual:.3g} mm apart elsewhere. "
            "Copy the missing files too, or export the series again."
        )
    number = int(np.clip(round(extent / usual), MIN_SLICES, _MOST_PLANES * count - 1)) + 1
    spacing = extent / (number - 1)
    where = np.interp(spacing * np.arange(number), along - along[0], np.arange(count))
    near = np.abs(where - np.rint(where)) < _NEAR_SHARE
    where[near] = np.rint(where[near])
    missing = number - count
    if missing > 0 and set(range(count)) <= set(where[near].astype(int)):
        said = f"{counted(missing, 'slice')} missing between others: the CT was interpolated there."
    else:
        said = (
            f"The slices are {steps.min():.3g} to {steps.max():.3g} mm apart; the CT was resampled to {spacing:.3g} mm."
        )
    return _Spacing(spacing, 0.0, where, [said])


def _largest_deviation(along: NDArray[np.float64], step: float, start: float) -> float:
    return float(np.abs(along - along[0] - start - step * np.arange(len(along))).max())


def _corners(
    positions: NDArray[np.float64],
    directions: NDArray[np.float64],
    pixel_mm: tuple[float, float],
    series: Series,
    name: str,
) -> tuple[NDArray[np.float64], tuple[int, int], list[str]]:
    """The grid's column and row of each slice's first pixel, columns and rows to add to the grid, and notes."""
    beside = (positions - positions[0]) @ directions.T / pixel_mm
    if np.abs(beside).max() <= _TILTED_PIXELS:
        return np.zeros((len(positions), 2)), (0, 0), []
    low = np.floor(beside.min(axis=0) + 1e-6)
    corners = beside - low
    margin = (ceil(corners[:, 0].max() - 1e-6), ceil(corners[:, 1].max() - 1e-6))
    if margin[0] > series.columns * (_MOST_ROWS - 1) or margin[1] > series.rows * (_MOST_ROWS - 1):
        raise InputError(f"{name} has slices that lie far beside each other. Export one reconstruction as a series.")
    line = positions[-1] - positions[0]
    sideways = np.linalg.norm(line @ directions.T)
    angle = degrees(np.arctan2(sideways, abs(line @ np.cross(directions[0], directions[1]))))
    said = f"The gantry was tilted by {angle:.1f}°; the CT was sheared to right angles, and masks are sheared back."
    return corners, margin, [said]
