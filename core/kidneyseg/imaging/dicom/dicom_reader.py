"""Reads a CT series from DICOM into a volume."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom.assembly import fill
from kidneyseg.imaging.dicom.elements import Elements
from kidneyseg.imaging.dicom.frames import DicomGeometry, Frame
from kidneyseg.imaging.dicom.kept_headers import Headers
from kidneyseg.imaging.dicom.series import Series, Study, choose, find_study
from kidneyseg.imaging.dicom.stack import Stack, stack_slices
from kidneyseg.imaging.geometry import grid_geometry, require_memory
from kidneyseg.imaging.intensities import add_offset, find_hu_offset
from kidneyseg.imaging.nifti import UNCALIBRATED_ABOVE_HU, case_name
from kidneyseg.imaging.volume import Volume, offset_note
from kidneyseg.plurals import counted
from kidneyseg.progress import Progress

_LOOKING = 0.25  # share of the time
_LARGE, _MOST_PACKED = 1 << 27, 200  # bytes, and how many times its size a file may unpack to


def load_dicom(
    path: str | os.PathLike[str],
    series: str | None = None,
    hu_offset: int | None = None,
    progress: Progress | None = None,
) -> Volume:
    """Read a CT series.

    Args:
        path: a folder (with its subfolders), a DICOMDIR, a zip, or one file of the series, whose neighbours are taken.
        series: which one, by `Series.id` or SeriesInstanceUID; None takes the proposed one, see `find_study`.
        hu_offset: what to add to the values; None adds what is needed where the headers state no rescaling.
        progress: reported to, and can cancel.

    Returns:
        The volume; its `geometry` is a `DicomGeometry`. `notes` says what was left, and what was resampled.

    Raises:
        InputError: there is no such CT, or its slices make no volume (see `stack_slices`, `fill`).
        Cancelled: by `progress`.
    """
    progress = progress or Progress()
    study = find_study(Path(path), progress.part(0, _LOOKING))
    return load_chosen(study, series, Path(path), hu_offset, progress.part(_LOOKING, 1))


def load_chosen(
    study: Study,
    wanted: str | None,
    path: Path,
    hu_offset: int | None = None,
    progress: Progress | None = None,
) -> Volume:
    """Read a series of a study that was found before; see `load_dicom`."""
    series = choose(study, wanted)
    notes = () if wanted is not None else _what_was_left(study, series)
    stack = stack_slices(series, study.name)
    _require_rescaling(study.name, stack)
    _require_data(study.name, stack)
    require_memory(study.name, prod(stack.shape), stack.shape)
    try:
        geometry = dicom_geometry(stack, series)
        hu = np.empty(geometry.shape, np.int16, order="F")
        lowest = fill(geometry.in_file_order(hu), stack, progress or Progress())
    except MemoryError as error:
        raise InputError(f"{study.name} does not fit into memory. Close other programs.") from error
    notes += stack.notes
    recognised = hu_offset is None
    if hu_offset is None:
        rescaled = any(one.rescale is not None for one in stack.slices)
        hu_offset = 0 if rescaled else find_hu_offset(hu)
    if hu_offset:
        add_offset(hu, hu_offset)
        notes += (offset_note(hu_offset),) if recognised else ()
    return Volume(
        hu=hu,
        spacing_mm=geometry.spacing_mm,
        affine=geometry.affine,
        slice_axis=geometry.slice_axis,
        calibrated=lowest + hu_offset <= UNCALIBRATED_ABOVE_HU,
        hu_offset=hu_offset,
        notes=notes,
        name=_case_name(path, study, series),
        path=path,
        series=series.id,
        window=_window(stack, hu_offset),
        geometry=geometry,
    )


def _window(stack: Stack, hu_offset: int) -> tuple[float, float] | None:
    """Width and level of the middle slice in HU: scanners may state one for each slice."""
    stated = stack.slices[len(stack.slices) // 2].window
    return None if stated is None else (stated[0], stated[1] + hu_offset)


def _require_rescaling(name: str, stack: Stack) -> None:
    """Raise InputError where a slope of 0 would make all HU of a slice one."""
    if any(one.rescale is not None and one.rescale[0] == 0 for one in stack.slices):
        raise InputError(f"{name} has slices with a rescale slope of 0, which leaves nothing of them. Export it again.")


def _require_data(name: str, stack: Stack) -> None:
    """Raise InputError where small files promise a large volume: images that are empty, or a bomb."""
    sources = {id(one.instance): one.instance.source.size for one in stack.slices}
    promised = 2 * prod(stack.shape)
    if promised > _LARGE and promised > _MOST_PACKED * sum(sources.values()):
        raise InputError(f"{name} promises far more voxels than its files can hold. Copy or export it again.")


def dicom_geometry(stack: Stack, series: Series) -> DicomGeometry:
    """The grid of a stack in canonical order, and its source frames."""
    affine = np.eye(4)
    affine[:3, 0] = stack.directions[0] * stack.spacing_mm[0]
    affine[:3, 1] = stack.directions[1] * stack.spacing_mm[1]
    affine[:3, 2] = np.cross(*stack.directions) * stack.spacing_mm[2]
    affine[:3, 3] = stack.origin_mm
    # NIfTI holds 32-bit numbers: so a volume and what is exported of it lie in exactly one place.
    ras = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine).astype(np.float32).astype(np.float64)
    grid = grid_geometry(stack.shape, ras, slice_axis=2)
    headers: list[Elements] = []
    frames, numbers = [], dict[int, int]()
    for one in stack.slices:
        if id(one.instance) not in numbers:
            numbers[id(one.instance)] = len(headers)
            headers.append(one.instance.elements)
        assert one.position is not None
        frames.append(Frame(numbers[id(one.instance)], one.number, one.position))
    return DicomGeometry(
        **vars(grid),
        headers=Headers(headers),
        frames=tuple(frames),
        rows=series.rows,
        columns=series.columns,
        pixel_spacing_mm=(stack.spacing_mm[1], stack.spacing_mm[0]),
        directions=(_three(stack.directions[0]), _three(stack.directions[1])),
        planes=tuple(int(k) for k in np.rint(stack.along_mm / stack.spacing_mm[2])),
        sources=tuple(int(i) for i in np.floor(stack.planes + 0.5)),
        corners=tuple((int(row), int(column)) for column, row in np.floor(stack.corners + 0.5)),
        exact=not (stack.resampled or stack.tilted),
    )


def _three(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])


def _what_was_left(study: Study, chosen: Series) -> tuple[str, ...]:
    """Sentences on other series and other objects, in words of our own: descriptions may hold names."""
    notes = []
    others = len(study.series) - 1
    if others and chosen.spacing_mm is not None:
        slices = f"{counted(len(chosen.slices), 'slice')}, {chosen.spacing_mm[2]:.3g} mm apart"
        notes.append(f"Of {others + 1} CT series, series {chosen.id} was taken ({slices}).")
    if study.left:
        notes.append(f"Not read: {', '.join(study.left)}.")
    return tuple(notes)


def _case_name(path: Path, study: Study, series: Series) -> str:
    name = case_name(path) or "CT"
    return name if len(study.series) == 1 else f"{name}_series_{series.id}"
