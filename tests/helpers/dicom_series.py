"""Writes DICOM series for tests: from volumes in any axis order, with gaps, tilts and in any transfer syntax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from kidneyseg.imaging.volume import Volume

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
INTERCEPT = -1024


class Frames:
    """HU (frames, rows, columns) int16, and the affine (4, 4) from (column, row, frame) to LPS mm."""

    def __init__(self, hu: NDArray[np.int16], affine: NDArray[np.float64]) -> None:
        self.hu, self.affine = hu, affine

    @property
    def directions(self) -> list[float]:
        """ImageOrientationPatient."""
        unit = self.affine[:3, :2] / np.linalg.norm(self.affine[:3, :2], axis=0)
        return [*map(float, unit[:, 0]), *map(float, unit[:, 1])]

    @property
    def pixel_spacing(self) -> list[float]:
        """Between rows, then between columns."""
        return [float(np.linalg.norm(self.affine[:3, axis])) for axis in (1, 0)]

    def position(self, frame: float) -> list[float]:
        """ImagePositionPatient."""
        return [float(x) for x in (self.affine @ (0, 0, frame, 1))[:3]]


def frames_of(volume: Volume, axes: str = "LPS") -> Frames:
    """A volume as frames. `axes`: where columns, rows and frames point, as letters of R L A P S I."""
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes))
    hu = nib.orientations.apply_orientation(volume.hu, turn)
    affine = LPS @ volume.affine @ nib.orientations.inv_ornt_aff(turn, volume.shape)
    return Frames(np.ascontiguousarray(hu.transpose(2, 1, 0)), affine)


def number(value: float) -> str:
    """A decimal string of at most 16 characters, with as many digits as fit."""
    return next(text for digits in range(17, 0, -1) if len(text := f"{value:.{digits}g}") <= 16)


def numbers(values: Sequence[float]) -> list[str]:
    return [number(value) for value in values]


def header(series: str, study: str | None = None, **values: Any) -> FileDataset:
    """A classic CT's header without a place; `values` by keyword replace or add, None takes away."""
    made = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = study or generate_uid(entropy_srcs=[series]), series
    made.FrameOfReferenceUID = generate_uid(entropy_srcs=[series, "frame"])
    made.Modality, made.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.PatientName, made.PatientID, made.PatientSex = "Doe^Jane", "SECRET-4711", "F"
    made.PatientBirthDate, made.StudyDate, made.StudyTime = "19500101", "20200101", "120000"
    made.StudyID, made.AccessionNumber, made.ReferringPhysicianName = "1", "4711", ""
    made.SeriesNumber, made.AcquisitionNumber, made.SeriesDescription = 3, 1, "Abdomen portal 1.0"
    made.Manufacturer, made.KVP, made.PatientPosition = "Maker", "120", "HFS"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = str(INTERCEPT), "1", "HU"
    for keyword, value in values.items():
        if value is None:
            del made[keyword]
        else:
            setattr(made, keyword, value)
    return made


def slices(frames: Frames, series: str | None = None, **values: Any) -> list[FileDataset]:
    """One data set per frame, uncompressed and with numbers of 16 bits without sign unless `values` say otherwise."""
    series = series or generate_uid()
    made = []
    for index, hu in enumerate(frames.hu):
        one = header(series, **values)
        one.InstanceNumber = index + 1
        one.ImagePositionPatient, one.ImageOrientationPatient = (
            numbers(frames.position(index)),
            numbers(frames.directions),
        )
        one.PixelSpacing = numbers(frames.pixel_spacing)
        one.SliceThickness = number(float(np.linalg.norm(frames.affine[:3, 2])))
        put_pixels(one, hu)
        made.append(one)
    return made


def put_pixels(one: Dataset, hu: NDArray[np.int16]) -> None:
    """HU (rows, columns) as the pixels of a header, by its own rescaling and number of bits."""
    one.Rows, one.Columns = hu.shape[-2:]
    slope, intercept = float(one.get("RescaleSlope", 1)), float(one.get("RescaleIntercept", 0))
    kind = f"{'i' if one.PixelRepresentation else 'u'}{one.BitsAllocated // 8}"
    one.PixelData = np.rint((hu - intercept) / slope).astype(kind).tobytes()
    one["PixelData"].VR = "OW"


def save(one: FileDataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write an uncompressed data set in a transfer syntax; pixels are compressed, or their bytes swapped, as needed."""
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.get("SOPInstanceUID", "1.2.3")
    one.file_meta.FileMetaInformationGroupLength = 0  # pydicom writes the right one
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    implicit, big = syntax == ImplicitVRLittleEndian, syntax == "1.2.840.10008.1.2.2"
    if one.get("PixelData") and syntax in {"1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"}:
        one.compress(syntax, generate_instance_uid=False)
    if big:
        one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()
    one.file_meta.TransferSyntaxUID = UID(syntax)
    dcmwrite(path, one, implicit_vr=implicit, little_endian=not big, force_encoding=True)
    return path


def write_series(
    folder: Path,
    frames: Frames,
    *,
    syntax: str = ExplicitVRLittleEndian,
    change: Callable[[int, FileDataset], None] = lambda _index, _one: None,
    **values: Any,
) -> list[Path]:
    """Write a classic series into a folder, under names that do not sort as the slices do."""
    made = slices(frames, **values)
    paths = []
    for index, one in enumerate(made):
        change(index, one)
        paths.append(save(one, folder / f"IM{(index * 7919) % 10007:05}", syntax))
    return paths


def enhanced(frames: Frames, series: str | None = None, **values: Any) -> FileDataset:
    """An Enhanced CT of all frames."""
    one = header(series or generate_uid(), RescaleIntercept=None, RescaleSlope=None, RescaleType=None, **values)
    one.SOPClassUID, one.ImageType = EnhancedCTImageStorage, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    one.InstanceNumber, one.NumberOfFrames = 1, len(frames.hu)
    measures, orientation, transformation, shared = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = numbers(frames.pixel_spacing)
    measures.SliceThickness = number(float(np.linalg.norm(frames.affine[:3, 2])))
    orientation.ImageOrientationPatient = numbers(frames.directions)
    transformation.RescaleIntercept, transformation.RescaleSlope, transformation.RescaleType = str(INTERCEPT), "1", "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.PixelValueTransformationSequence = [transformation]
    one.SharedFunctionalGroupsSequence = [shared]
    one.PerFrameFunctionalGroupsSequence = []
    for index in range(len(frames.hu)):
        place, content, own = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = numbers(frames.position(index))
        content.StackID, content.InStackPositionNumber = "1", index + 1
        own.PlanePositionSequence, own.FrameContentSequence = [place], [content]
        one.PerFrameFunctionalGroupsSequence.append(own)
    put_pixels(one, frames.hu - np.int16(INTERCEPT))
    return one
