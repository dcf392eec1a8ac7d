"""Key images: the slice on which each kidney, tumour and cyst is largest, with outlines, as secondary captures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.dicom_export.contents import Contents, Segment
from kidneyseg.dicom_export.seg import SERIES, description, equipment, set_written
from kidneyseg.dicom_export.source import on_frame
from kidneyseg.imaging.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_WINDOW_HU = (-135.0, 215.0)  # width 350, level 40: abdomen
_LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))  # of each axis of the patient, forward and back, as DICOM names them
_SLANTED = 0.05  # a direction with less than this of an axis is not said to lean to it


def key_images(contents: Contents, volume: Volume) -> list[Dataset]:
    """One RGB picture, of the series' own rows and columns, for each object with a finding; none of an empty mask.

    Each object on the slice is outlined, on its own outermost pixels, in its label's colour; nothing else is drawn.

    Args:
        contents: of the mask.
        volume: the CT on the grid of the series.
    """
    numbers = contents.numbers
    count = len(contents.segments) + 1
    areas = np.stack([np.bincount(frame.ravel(), minlength=count) for frame in numbers])
    shown = [segment for segment in contents.segments if segment.finding is not None and areas[:, segment.number].any()]
    return [
        _key_image(segment, int(areas[:, segment.number].argmax()), contents, volume, number)
        for number, segment in enumerate(shown, start=1)
    ]


def _key_image(segment: Segment, index: int, contents: Contents, volume: Volume, number: int) -> Dataset:
    from highdicom.sc import SCImage

    frame = contents.geometry.frames[index]
    source = contents.headers[frame.header]
    made = SCImage(
        pixel_array=picture(on_frame(contents.geometry, volume.hu, index), contents.numbers[index], contents.segments),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=contents.uid("series", "images"),
        series_number=SERIES["images"],
        sop_instance_uid=contents.uid("object", "images", segment.name),
        instance_number=number,
        patient_id=source.PatientID,
        patient_name=source.PatientName,
        patient_birth_date=source.PatientBirthDate,
        patient_sex=source.PatientSex,
        accession_number=source.AccessionNumber,
        study_id=source.StudyID,
        study_date=source.StudyDate or None,
        study_time=source.StudyTime or None,
        referring_physician_name=source.ReferringPhysicianName,
        pixel_spacing=contents.geometry.pixel_spacing_mm,
        patient_orientation=("L", "P"),  # highdicom knows no slanted ones; replaced below
        series_description="KidneySeg key images",
        specific_character_set=source.get("SpecificCharacterSet"),
        **equipment(contents),
    )
    made.PatientOrientation = list(orientation(np.asarray(contents.geometry.directions)))
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.BodyPartExamined = source.get("BodyPartExamined") or "ABDOMEN"
    made.ImageComments = description(segment)
    made.DerivationDescription = f"Window 350/40, outlines of a segmentation by {contents.algorithm.name}"
    made.BurnedInAnnotation = "NO"
    multi_frame = len(contents.headers) < len(contents.geometry.frames)
    made.SourceImageSequence = [_reference(source, frame.number if multi_frame else None)]
    set_written(made, contents)
    made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = made.InstanceCreationDate, made.InstanceCreationTime
    return made


def picture(hu: NDArray[np.int16], numbers: NDArray[Any], segments: tuple[Segment, ...]) -> NDArray[np.uint8]:
    """A slice (rows, columns) in the abdominal window, uint8 (rows, columns, 3), with the outlines of its segments."""
    low, high = _WINDOW_HU
    grey = np.clip((hu - low) * (255 / (high - low)), 0, 255).round().astype(np.uint8)
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    edge = _edge(numbers)
    for segment in segments:
        rgb[edge & (numbers == segment.number)] = segment.property.colour
    return rgb


def _edge(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Which pixels have a neighbour to a side of another segment, or of none."""
    edge = np.zeros(numbers.shape, np.bool_)
    for axis in (0, 1):
        one, other = (numbers[1:], numbers[:-1]) if axis == 0 else (numbers[:, 1:], numbers[:, :-1])
        differs = one != other
        first, second = (edge[1:], edge[:-1]) if axis == 0 else (edge[:, 1:], edge[:, :-1])
        first |= differs
        second |= differs
    return edge


def orientation(directions: NDArray[np.float64]) -> tuple[str, str]:
    """Where rows and columns point, in the letters of PatientOrientation: ("L", "P") in an axial slice.

    Args:
        directions: (2, 3), ImageOrientationPatient: unit vectors along a row and along a column in LPS.
    """
    along_row, along_column = (
        "".join(
            _LETTERS[axis][0 if direction[axis] > 0 else 1]
            for axis in sorted(range(3), key=lambda axis: -abs(direction[axis]))
            if abs(direction[axis]) >= _SLANTED
        )
        for direction in directions
    )
    return along_row, along_column


def _reference(source: Dataset, frame: int | None) -> Dataset:
    from pydicom import Dataset
    from pydicom.sr.codedict import codes

    from kidneyseg.dicom_export.codes import code_item

    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    if frame is not None:
        item.ReferencedFrameNumber = frame
    item.PurposeOfReferenceCodeSequence = [code_item(codes.DCM.SourceImageForImageProcessingOperation)]
    return item
