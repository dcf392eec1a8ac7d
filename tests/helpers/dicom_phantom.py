"""A made abdomen in the patient's LPS mm, on series of any orientation, and the volume that a reader makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ct_series import Series, stack, write
from dicom_series import Frames
from kidneyseg.dicom_export.contents import Contents, gather
from kidneyseg.findings import measure
from kidneyseg.imaging.dicom.dicom_reader import load_dicom
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.provenance import Provenance, current_versions
from kidneyseg.settings import preset

Array = np.ndarray[Any, Any]
MADE_AT = datetime(2026, 1, 3, 12, 30, 45)
MADE_BY = Provenance(
    preset("default"), ("default-stage1-0123abcd", "default-stage2-89ef4567"), "cpu", versions=current_versions()
)
# Centre and radii in mm; the patient's left is +x. Later ones lie over earlier ones.
OBJECTS = (
    ((-50.0, 10.0, 0.0), (22.0, 18.0, 30.0), KIDNEY, 150),
    ((48.0, 12.0, 6.0), (24.0, 19.0, 32.0), KIDNEY, 150),
    ((58.0, 16.0, 14.0), (12.0, 10.0, 11.0), TUMOUR, 230),
    ((-54.0, 12.0, -14.0), (9.0, 9.0, 9.0), CYST, 5),
)
CENTRE = np.array([-3.0, 8.0, -390.0])  # of the patient, in LPS mm


def sampled(mm: Array) -> tuple[Array, Array]:
    """HU and labels at points (..., 3) in LPS mm."""
    at = mm - CENTRE
    hu = np.where((at[..., 0] / 95) ** 2 + (at[..., 1] / 60) ** 2 <= 1, 40, -1000).astype(np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    for centre, radii, label, value in OBJECTS:
        inside = (((at - centre) / radii) ** 2).sum(axis=-1) <= 1
        hu[inside], labels[inside] = value, label
    return hu, labels


def scanned(
    directions: tuple[Sequence[float], Sequence[float], Sequence[float]],
    size_mm: float = 170.0,
    spacing: tuple[float, float] = (3.5, 3.0),
    steps_mm: float | Sequence[float] = 4.0,
) -> tuple[Series, Array]:
    """The abdomen on a series of these directions (see `stack`), and the labels (frames, rows, columns) on it."""
    rows, columns = (round(size_mm / one) for one in spacing)
    frames = len(steps_mm) + 1 if isinstance(steps_mm, Sequence) else round(size_mm / steps_mm)
    empty = stack(np.zeros((frames, rows, columns), np.int16), directions, spacing, steps_mm, (0.0, 0.0, 0.0))
    middle = (empty.mm(0, 0, 0) + empty.mm(frames - 1, rows - 1, columns - 1)) / 2
    origin = tuple((CENTRE - middle).tolist())
    placed = stack(empty.hu, directions, spacing, steps_mm, origin)
    hu, labels = sampled(pixel_mm(placed))
    return Series(hu, placed.along_row, placed.along_column, spacing, placed.positions), labels


def pixel_mm(series: Series) -> Array:
    """Where each pixel lies, (frames, rows, columns, 3), in LPS mm."""
    _, rows, columns = series.hu.shape
    start = np.array(series.positions)[:, None, None]
    row = np.arange(rows)[None, :, None, None] * np.array(series.along_column) * series.spacing[0]
    column = np.arange(columns)[None, None, :, None] * np.array(series.along_row) * series.spacing[1]
    mm: Array = start + row + column
    return mm


def opened(series: Series, folder: Path, name: str = "ct", **changes: Any) -> Volume:
    """The series as files, read again."""
    return load_dicom(write(series, folder, name, **changes))


def frame_order(series: Series) -> list[int]:
    """The series' own frames in the order of the volume's, along the normal."""
    normal = np.cross(series.along_row, series.along_column)
    return np.argsort(np.array(series.positions) @ normal).tolist()


def gathered(volume: Volume, labels: Array, **changes: Any) -> Contents:
    """The contents for labels (frames, rows, columns) in the volume's order of frames."""
    mask = volume.geometry.from_frames(labels)
    values = {"findings": measure(mask, volume), "provenance": MADE_BY, "made_at": MADE_AT} | changes
    return gather(mask, volume, volume.geometry, **values)


def in_frames(series: Series, reverse: bool = False) -> Frames:
    """An axial series as `dicom_series` takes it, from its first frame on or from its last."""
    order = range(len(series.hu) - 1, -1, -1) if reverse else range(len(series.hu))
    first, second = (np.array(series.positions[frame]) for frame in (order[0], order[1]))
    affine = np.eye(4)
    affine[:3, 0] = np.array(series.along_row) * series.spacing[1]
    affine[:3, 1] = np.array(series.along_column) * series.spacing[0]
    affine[:3, 2], affine[:3, 3] = second - first, first
    return Frames(series.hu[list(order)], affine)
