"""Structured report (Comprehensive 3D SR) of the measurements, by template TID 1500 of DICOM PS3.16."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kidneyseg.dicom_export.codes import code, side_code
from kidneyseg.dicom_export.contents import Contents, Segment
from kidneyseg.dicom_export.identity import MANUFACTURER, uid
from kidneyseg.dicom_export.seg import SERIES, equipment, set_written
from kidneyseg.findings.records import KidneyFinding
from kidneyseg.version import __version__

if TYPE_CHECKING:
    from highdicom.sr import Measurement, MeasurementReport, VolumetricROIMeasurementsAndQualitativeEvaluations
    from pydicom import Dataset

_OWN_SCHEME = "99KIDNEYSEG"  # of codes for which DICOM has none


def measurement_report(contents: Contents, segmentation: Dataset) -> Dataset:
    """Volumes and diameters, with a reference to the segment that each was measured on.

    Args:
        contents: of the mask.
        segmentation: made of it by `seg.segmentation`.
    """
    from highdicom.sr import Comprehensive3DSR

    made = Comprehensive3DSR(
        evidence=[segmentation, *contents.headers],
        content=_report(contents, segmentation),
        series_instance_uid=contents.uid("series", "sr"),
        series_number=SERIES["sr"],
        sop_instance_uid=contents.uid("object", "sr", str(segmentation.SOPInstanceUID)),
        instance_number=1,
        is_complete=True,
        is_final=False,
        series_description="KidneySeg measurements",
        **equipment(contents),
    )
    set_written(made, contents)
    return made


def _report(contents: Contents, segmentation: Dataset) -> MeasurementReport:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=uid("device", *contents.algorithm.parameters.get("networks", "").split(", "), __version__),
            name="KidneySeg",
            manufacturer_name=MANUFACTURER,
            model_name=contents.algorithm.name,
            serial_number=contents.algorithm.version,
        ),
    )
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=[_measured(segment, contents, segmentation) for segment in contents.segments],
        title=codes.DCM.ImagingMeasurementReport,
    )


def _measured(
    segment: Segment, contents: Contents, segmentation: Dataset
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    from highdicom.sr import (
        AlgorithmIdentification,
        FindingSite,
        ReferencedSegment,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    what = segment.property
    parameters = contents.algorithm.parameters
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(segment.tracking_uid, segment.name),
        referenced_segment=ReferencedSegment(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            segment.number,
            source_series=SourceSeriesForSegmentation(contents.headers[0].SeriesInstanceUID),
        ),
        finding_category=code(what.category),
        finding_type=code(what.kind),
        finding_sites=[FindingSite(code(("64033007", "Kidney")), laterality=side_code(segment.side))],
        algorithm_id=AlgorithmIdentification(
            name=contents.algorithm.name,
            version=contents.algorithm.version,
            parameters=[f"{name}: {value}" for name, value in parameters.items()] or None,
        ),
        measurements=_measurements(segment),
    )


def _measurements(segment: Segment) -> list[Measurement]:
    from highdicom.sr import CodedConcept, Measurement
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    ml = Code("mL", "UCUM", "milliliter")
    found = segment.finding
    all_voxels = codes.DCM.SumOfSegmentedVoxelMethodForVolume
    measured = [Measurement(codes.SCT.Volume, round(segment.ml, 3), ml, method=all_voxels)]
    if isinstance(found, KidneyFinding):
        on_it = CodedConcept("tumour-volume", _OWN_SCHEME, "Volume of the tumours on the kidney")
        measured.append(Measurement(on_it, round(found.tumour_ml, 3), ml, method=all_voxels))
    elif found is not None:
        measured.append(Measurement(codes.SCT.LongAxis, round(found.longest_mm, 2), codes.UCUM.Millimeter))
    confidence = getattr(found, "confidence", None)
    if confidence is not None:
        sure = CodedConcept("probability", _OWN_SCHEME, "Probability that the object is a tumour")
        measured.append(Measurement(sure, round(100 * confidence.probability, 1), codes.UCUM.Percent))
    return measured
