"""Made CT series: DICOM files of any orientation, tilt and spacing, and where each pixel lies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Series:
    """A CT series in LPS mm. Frame k has its first pixel's centre at `positions[k]`."""

    hu: np.ndarray[Any, Any]  #: int16 (frames, rows, columns)
    along_row: Vector  #: unit vector, to the next column
    along_column: Vector  #: unit vector, to the next row
    spacing: tuple[float, float]  #: mm between rows, between columns
    positions: tuple[Vector, ...]

    def mm(self, frame: int, row: int, column: int) -> np.ndarray[Any, Any]:
        """The centre of a pixel in LPS mm, by DICOM PS3.3 C.7.6.2.1.1."""
        x, y = np.array(self.along_row), np.array(self.along_column)
        return np.array(self.positions[frame]) + x * self.spacing[1] * column + y * self.spacing[0] * row


def uid(*names: object) -> str:
    """A UID that is the same in every run."""
    return f"2.25.{int(hashlib.sha256(repr(names).encode()).hexdigest()[:30], 16)}"


def number(value: float) -> str:
    """A decimal string (DS) of at most 16 characters."""
    return next(text for digits in range(12, 3, -1) if len(text := f"{value:.{digits}g}") <= 16)


def header(series: Series, frame: int, name: str = "ct", **changes: Any) -> FileDataset:
    """The frame as a CT Image object; `changes` set attributes, None removes one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, uid(name, frame)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    values: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": uid(name, frame),
        "StudyInstanceUID": uid(name, "study"),
        "SeriesInstanceUID": uid(name, "series"),
        "FrameOfReferenceUID": uid(name, "place"),
        "PatientName": "Phantom^Made",
        "PatientID": "phantom-1",
        "PatientBirthDate": "19700101",
        "PatientSex": "O",
        "StudyDate": "20260102",
        "StudyTime": "030405",
        "StudyID": "1",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "",
        "Modality": "CT",
        "Manufacturer": "Made",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SeriesNumber": 2,
        "SeriesDescription": "Made abdomen",
        "AcquisitionNumber": 1,
        "PatientPosition": "HFS",
        "PositionReferenceIndicator": "",
        "InstanceNumber": frame + 1,
        "KVP": "120",
        "ImagePositionPatient": [number(value) for value in series.positions[frame]],
        "ImageOrientationPatient": [number(value) for value in (*series.along_row, *series.along_column)],
        "PixelSpacing": [number(value) for value in series.spacing],
        "SliceThickness": "2",
        "Rows": series.hu.shape[1],
        "Columns": series.hu.shape[2],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "RescaleType": "HU",
    }
    for key, value in (values | changes).items():
        if value is not None:
            setattr(made, key, value)
    made.PixelData = np.ascontiguousarray(series.hu[frame], "<i2").tobytes()
    return made


def write(series: Series, folder: Path, name: str = "ct", **changes: Any) -> Path:
    """The series as files whose names say nothing of their order."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(3).permutation(len(series.hu))
    for place, frame in enumerate(order.tolist()):
        made = header(series, frame, name, **changes)
        made.save_as(folder / f"IM{place:04d}", enforce_file_format=True)
    return folder


def all_axes() -> Iterator[tuple[Vector, Vector, Vector]]:
    """Directions of rows, columns and slices along the patient's axes, in all 48 ways; half of them left-handed."""
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        row, column, slices = (sign * np.eye(3)[axis] for axis, sign in zip(order, signs, strict=True))
        yield tuple(row), tuple(column), tuple(slices)


def rotated(angles_deg: Vector) -> tuple[Vector, Vector, Vector]:
    """Directions of an oblique series: the axial ones turned about the patient's x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(angles_deg)):
        turn = np.eye(3)
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return tuple(matrix[:, 0]), tuple(matrix[:, 1]), tuple(matrix[:, 2])


def stack(
    hu: np.ndarray[Any, Any],
    directions: tuple[Sequence[float], Sequence[float], Sequence[float]],
    spacing: tuple[float, float] = (1.5, 1.2),
    steps_mm: float | Sequence[float] = 2.5,
    origin: Vector = (-31.5, 22.25, -410.0),
) -> Series:
    """A series whose frames follow each other along the third direction, which need not be at right angles (tilt).

    Args:
        hu: int16 (frames, rows, columns).
        directions: of rows, columns and slices.
        spacing: mm between rows, between columns.
        steps_mm: from each frame to the next, one number or one fewer than there are frames.
        origin: the first frame's first pixel, in LPS mm.
    """
    row, column, along = (np.asarray(one, np.float64) for one in directions)
    steps = np.broadcast_to(np.asarray(steps_mm, np.float64), len(hu) - 1)
    far = np.concatenate([[0.0], np.cumsum(steps)])
    positions = tuple(tuple((np.array(origin) + along * step).tolist()) for step in far)
    return Series(hu, tuple(row), tuple(column), spacing, positions)
