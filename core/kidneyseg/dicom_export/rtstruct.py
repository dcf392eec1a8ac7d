"""RT Structure Set (RTSTRUCT): an outline on each slice for each kidney, tumour and cyst."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kidneyseg.dicom_export.codes import code, code_item, side_code
from kidneyseg.dicom_export.contents import Contents, Segment
from kidneyseg.dicom_export.contours import outlines
from kidneyseg.dicom_export.identity import MANUFACTURER
from kidneyseg.dicom_export.seg import SERIES, algorithm_sequence, description, set_written
from kidneyseg.dicom_export.source import OF_STUDY
from kidneyseg.imaging.labels import KIDNEY
from kidneyseg.version import __version__

if TYPE_CHECKING:
    from pydicom import Dataset

_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, as which structure sets refer to a study


def structure_set(contents: Contents) -> Dataset:
    """The mask as a structure set with closed planar outlines along the pixels' edges; see `contours`.

    Coordinates are rounded to .0001 mm. An object without pixels has no outlines.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ImplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        UID(_STORAGE),
        UID(contents.uid("object", "rtstruct")),
    )
    # With explicit types an outline could have no more than 64 kB.
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    source, when = contents.headers[0], contents.made_at
    for name in (*OF_STUDY, "StudyInstanceUID", "FrameOfReferenceUID"):
        setattr(made, name, source.get(name))
    for name in ("SpecificCharacterSet", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight"):
        if source.get(name):
            setattr(made, name, source.get(name))
    made.SOPClassUID, made.SOPInstanceUID = _STORAGE, contents.uid("object", "rtstruct")
    made.Modality, made.SeriesInstanceUID = "RTSTRUCT", contents.uid("series", "rtstruct")
    made.SeriesNumber, made.InstanceNumber = SERIES["rtstruct"], 1
    made.SeriesDescription, made.OperatorsName = "KidneySeg structures", ""
    made.SeriesDate, made.SeriesTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S.%f")
    made.Manufacturer, made.ManufacturerModelName = MANUFACTURER, contents.algorithm.name
    made.SoftwareVersions, made.DeviceSerialNumber = "kidneyseg " + __version__, __version__
    made.PositionReferenceIndicator = source.get("PositionReferenceIndicator") or ""
    made.StructureSetLabel, made.StructureSetName = "KIDNEYSEG", "Kidneys, kidney tumours and cysts"
    made.StructureSetDate, made.StructureSetTime = made.SeriesDate, made.SeriesTime
    made.ApprovalStatus = "UNAPPROVED"
    made.ReferencedFrameOfReferenceSequence = [_referenced(contents)]
    made.StructureSetROISequence = [_roi(segment, contents) for segment in contents.segments]
    made.ROIContourSequence = [_outlined(segment, contents) for segment in contents.segments]
    made.RTROIObservationsSequence = [_observed(segment) for segment in contents.segments]
    set_written(made, contents)
    return made


def _item(**values: object) -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def _image(contents: Contents, index: int) -> Dataset:
    """The reference to a frame of the series."""
    frame = contents.geometry.frames[index]
    header = contents.headers[frame.header]
    item = _item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
    if len(contents.headers) < len(contents.geometry.frames):
        item.ReferencedFrameNumber = frame.number
    return item


def _referenced(contents: Contents) -> Dataset:
    source = contents.headers[0]
    series = _item(
        SeriesInstanceUID=source.SeriesInstanceUID,
        ContourImageSequence=[_image(contents, index) for index in range(len(contents.geometry.frames))],
    )
    study = _item(
        ReferencedSOPClassUID=_STUDY,
        ReferencedSOPInstanceUID=source.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _item(FrameOfReferenceUID=source.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _roi(segment: Segment, contents: Contents) -> Dataset:
    return _item(
        ROINumber=segment.number,
        ReferencedFrameOfReferenceUID=contents.headers[0].FrameOfReferenceUID,
        ROIName=segment.name,
        ROIDescription=description(segment),
        ROIVolume=f"{segment.ml:.3f}",
        ROIGenerationAlgorithm=segment.made,
        ROIGenerationDescription=contents.algorithm.name,
        ROIDerivationAlgorithmIdentificationSequence=list(algorithm_sequence(contents)),
    )


def _outlined(segment: Segment, contents: Contents) -> Dataset:
    item = _item(ReferencedROINumber=segment.number, ROIDisplayColor=list(segment.property.colour))
    contours: list[Dataset] = []
    for index in np.flatnonzero(contents.numbers.any(axis=(1, 2))).tolist():
        for outline in outlines(contents.numbers[index] == segment.number):
            points = _in_mm(outline, contents, index)
            contours.append(
                _item(
                    ContourImageSequence=[_image(contents, index)],
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=len(points),
                    ContourNumber=len(contours) + 1,
                    ContourData=[f"{value:.4f}" for value in points.ravel()],
                )
            )
    if contours:
        item.ContourSequence = contours
    return item


def _in_mm(outline: NDArray[np.int64], contents: Contents, index: int) -> NDArray[np.float64]:
    """Corners (N, 2), column and row, in LPS mm (N, 3); pixel (0, 0) has its centre half a pixel from corner (0, 0)."""
    affine = contents.geometry.frame_affine_lps(index)
    mm: NDArray[np.float64] = (outline - 0.5) @ affine[:3, :2].T + affine[:3, 3]
    return mm


def _observed(segment: Segment) -> Dataset:
    what, side = segment.property, side_code(segment.side)
    identified = code_item(code(what.kind))
    if side is not None and not what.in_kidney:
        identified.SegmentedPropertyTypeModifierCodeSequence = [code_item(side)]
    observed = _item(
        ObservationNumber=segment.number,
        ReferencedROINumber=segment.number,
        ROIObservationLabel=segment.name[:16],
        RTROIIdentificationCodeSequence=[identified],
        RTROIInterpretedType="ORGAN" if segment.label == KIDNEY else "",
        ROIInterpreter="",
    )
    if what.in_kidney:
        region = code_item(code(("64033007", "Kidney")))
        if side is not None:
            region.AnatomicRegionModifierSequence = [code_item(side)]
        observed.AnatomicRegionSequence = [region]
    return observed
