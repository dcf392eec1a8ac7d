"""DICOM Segmentation (SEG): one segment for each kidney, tumour and cyst, on the frames of the series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.dicom_export.codes import code, code_item, side_code
from kidneyseg.dicom_export.contents import RESEARCH_ONLY, Contents, Segment
from kidneyseg.dicom_export.identity import MANUFACTURER
from kidneyseg.dicom_export.source import require_one_object, slice_spacing_mm
from kidneyseg.version import __version__

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

SERIES = {"seg": 9001, "labelmap": 9002, "rtstruct": 9003, "sr": 9004, "images": 9005}  # numbers within the study


def segmentation(contents: Contents, *, labelmap: bool = False) -> Dataset:
    """The mask as a Segmentation object.

    Args:
        contents: of the mask.
        labelmap: one frame with the number of each pixel's segment per slice (Label Map Segmentation Storage, new in
            2024) instead of a frame with one bit per pixel for each segment and slice, which every viewer reads.

    Returns:
        The object. Frames without voxels are left out, except for one of a mask that is empty.

    Raises:
        InputError: the series consists of several multi-frame objects.
    """
    from highdicom import PixelMeasuresSequence
    from highdicom.seg import Segmentation

    require_one_object(contents.headers)
    kind = "labelmap" if labelmap else "seg"
    sources, pixels, positions = _used_frames(contents)
    made = Segmentation(
        source_images=sources,
        pixel_array=pixels,
        plane_positions=positions,
        segmentation_type="LABELMAP" if labelmap else "BINARY",
        segment_descriptions=[_described(segment, contents) for segment in contents.segments],
        series_instance_uid=contents.uid("series", kind),
        series_number=SERIES[kind],
        sop_instance_uid=contents.uid("object", kind),
        instance_number=1,
        content_label="KIDNEYSEG",
        content_description="Kidneys, kidney tumours and cysts",
        content_creator_name=f"{MANUFACTURER}^",  # a family name alone, as names are written
        pixel_measures=PixelMeasuresSequence(**_measures(contents)),
        series_description="KidneySeg label map" if labelmap else "KidneySeg segmentation",
        **equipment(contents),
    )
    _replace_uid(made, contents.uid("dimensions", kind))
    set_written(made, contents)
    return made


def equipment(contents: Contents) -> dict[str, Any]:
    """The maker and the date of an object, as highdicom's constructors take them."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": contents.algorithm.name,
        "software_versions": "kidneyseg " + __version__,
        "device_serial_number": __version__,
        "content_date": contents.made_at.date(),
        "content_time": contents.made_at.time(),
        "series_date": contents.made_at.date(),
        "series_time": contents.made_at.time(),
    }


def set_written(made: Dataset, contents: Contents) -> None:
    """Date an object as written when the result was; highdicom takes the present."""
    made.InstanceCreationDate = contents.made_at.strftime("%Y%m%d")
    made.InstanceCreationTime = contents.made_at.strftime("%H%M%S.%f")
    for equipment_item in made.get("ContributingEquipmentSequence", ()):
        equipment_item.ContributionDateTime = contents.made_at.strftime("%Y%m%d%H%M%S.%f")


def algorithm_sequence(contents: Contents) -> AlgorithmIdentificationSequence:
    """The algorithm that made the mask, as SEG, RTSTRUCT and SR name it."""
    from highdicom import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes

    made_by = contents.algorithm
    return AlgorithmIdentificationSequence(
        name=made_by.name,
        version=made_by.version,
        family=codes.cid7162.ArtificialIntelligence,
        source=MANUFACTURER,
        parameters=dict(made_by.parameters) or None,
    )


def _used_frames(contents: Contents) -> tuple[list[Dataset], NDArray[Any], list[Any] | None]:
    """The source images, their pixels, and where they lie if that is not to be taken from the images.

    Of a classic series only the run of slices with a segment is given, which saves highdicom time and memory.
    """
    from highdicom import PlanePositionSequence

    numbers, frames = contents.numbers, contents.geometry.frames
    used = np.flatnonzero(numbers.reshape(len(numbers), -1).any(axis=1))
    run = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
    if len(contents.headers) == 1 and len(frames) > 1:  # one multi-frame image
        positions = [PlanePositionSequence("PATIENT", frame.position_mm) for frame in frames[run]]
        return list(contents.headers), numbers[run], positions
    return [contents.headers[frame.header] for frame in frames[run]], numbers[run], None


def _measures(contents: Contents) -> dict[str, Any]:
    """Pixel spacing, slice thickness and distance of slices, as the object states them for all frames.

    The thickness is the scanner's, which need not be the distance of two slices. The distance is left out where it is
    not the same everywhere.
    """
    geometry = contents.geometry
    distance, even = slice_spacing_mm([frame.position_mm for frame in geometry.frames], geometry.normal)
    thickness = float(contents.headers[0].SliceThickness)
    spacing = {"spacing_between_slices": distance} if even else {}
    return {"pixel_spacing": geometry.pixel_spacing_mm, "slice_thickness": thickness, **spacing}


def _described(segment: Segment, contents: Contents) -> SegmentDescription:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    what, side = segment.property, side_code(segment.side)
    kidney = [code(("64033007", "Kidney"))] if what.in_kidney else None
    described = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.name,
        segmented_property_category=code(what.category),
        segmented_property_type=code(what.kind),
        algorithm_type=segment.made,
        algorithm_identification=algorithm_sequence(contents),
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.name,
        anatomic_regions=kidney,
        display_color=CIELabColor.from_rgb(*what.colour),
    )
    described.SegmentDescription = description(segment)
    if side is not None and what.in_kidney:
        described.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [code_item(side)]
    elif side is not None:
        described.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [code_item(side)]
    return described


def description(segment: Segment) -> str:
    """What a segment is, in a sentence or two."""
    what = f"{segment.name}: {segment.ml:.2f} mL"
    longest = getattr(segment.finding, "longest_mm", None)
    if longest is not None:
        what += f", longest diameter {longest:.0f} mm"
    return f"{what}. {RESEARCH_ONLY}"


def _replace_uid(made: Dataset, dimensions: str) -> None:
    """Give the dimensions a UID that follows from the content, in place of highdicom's random one."""
    made.DimensionOrganizationSequence[0].DimensionOrganizationUID = dimensions
    for item in made.DimensionIndexSequence:
        item.DimensionOrganizationUID = dimensions
