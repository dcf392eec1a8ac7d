"""The series that DICOM objects refer to: its headers, complete, and pixels of a volume on its frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom.frames import DicomGeometry
from kidneyseg.imaging.dicom.tags import ENHANCED_CT, LEGACY_ENHANCED_CT
from kidneyseg.imaging.geometry import require_same_place
from kidneyseg.imaging.volume import HU_WINDOW, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
# The same in all images that one object refers to: it belongs to one patient and study, and lies in one frame.
_COMMON = ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")
#: of the patient and the study, which every object of the study repeats; empty where the series does not say
OF_STUDY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName"),
)
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_MULTI_FRAME = (ENHANCED_CT, LEGACY_ENHANCED_CT)
_SEXES = ("M", "F", "O")
# Of a CT from another file and its reference: HU compared along each axis, their largest difference, the share alike.
_COMPARED, _MOST_HU_APART, _LEAST_ALIKE = 64, 2, 0.9


def source_headers(geometry: DicomGeometry) -> tuple[Dataset, ...]:
    """Copies of a series' headers with what an object of the same study takes from them, valid.

    Where a header does not state the thickness of its slice, it is the distance of two.

    Raises:
        InputError: the series lacks an identifier, without which nothing can refer to it, or its images are of several
            patients, studies or frames of reference.
    """
    from pydicom.multival import MultiValue

    distance, _ = slice_spacing_mm([frame.position_mm for frame in geometry.frames], geometry.normal)
    _require_identifiers(geometry.headers)
    complete = []
    for header in geometry.headers:
        own = _copied(header)
        for name in OF_STUDY:
            value = own.get(name)
            if value is None or isinstance(value, MultiValue):  # each has one value
                setattr(own, name, value[0] if value else "")
        if own.PatientSex not in _SEXES:
            own.PatientSex = ""
        for name, valid in (("PatientBirthDate", _is_date), ("StudyDate", _is_date), ("StudyTime", _is_time)):
            if not valid(str(own.get(name))):
                setattr(own, name, "")
        own.Modality = own.get("Modality") or "CT"
        if not _is_length(own.get("SliceThickness")):
            own.SliceThickness = f"{distance or 1.0:.6g}"
        complete.append(own)
    if len({header.SOPInstanceUID for header in complete}) < len(complete):
        raise InputError(
            "Several images of the DICOM series have one SOPInstanceUID, so nothing can refer to one of them. "
            "Write NIfTI instead."
        )
    return tuple(complete)


def _require_identifiers(headers: Sequence[Dataset]) -> None:
    """Raise InputError where an object could not refer to all images of a series."""
    for name in _NEEDED:
        if not all(_is_uid(header.get(name)) for header in headers):
            raise InputError(
                f"The DICOM series has no {name}, so no DICOM object can refer to it. Write NIfTI instead."
            )
    for name in _COMMON:
        if len({str(header.get(name)) for header in headers}) > 1:
            raise InputError(
                f"The images of the DICOM series differ in their {name}, so no DICOM object can refer to all of them. "
                "Export the series again from the PACS, or write NIfTI."
            )


def require_one_object(headers: Sequence[Dataset]) -> None:
    """Raise InputError for several multi-frame objects: a SEG refers to one, or to images of one frame (highdicom)."""
    if len(headers) > 1 and any(header.SOPClassUID in _MULTI_FRAME for header in headers):
        raise InputError(
            "The DICOM series consists of several multi-frame objects, to which a segmentation cannot refer. "
            "Write RTSTRUCT, key images or NIfTI instead."
        )


def _copied(header: Dataset) -> Dataset:
    """A copy whose elements may be set; texts in a character set that highdicom does not take are then UTF-8."""
    from pydicom import Dataset
    from pydicom.charset import convert_encodings, python_encoding

    own = Dataset()
    own.update(header)
    stated = header.get("SpecificCharacterSet")
    implicit, little = header.original_encoding
    own.set_original_encoding(bool(implicit), little is not False, convert_encodings(stated or "ISO_IR 6"))
    if stated and not (isinstance(stated, str) and stated in python_encoding):
        for _ in own:  # decodes each element by the set that is stated
            pass
        own.SpecificCharacterSet = "ISO_IR 192"
    return own


def _is_uid(value: object) -> bool:
    return isinstance(value, str) and bool(_UID.fullmatch(value)) and len(value) <= 64


def _is_length(value: object) -> bool:
    try:
        return 0 < float(str(value)) < float("inf")
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    return text == "" or (len(text) == 8 and text.isdigit() and "01" <= text[4:6] <= "12" and "01" <= text[6:] <= "31")


def _is_time(text: str) -> bool:
    whole, _, fraction = text.partition(".")
    return text == "" or (len(whole) in (2, 4, 6) and whole.isdigit() and (not fraction or fraction.isdigit()))


def on_frame(geometry: DicomGeometry, voxels: NDArray[Any], index: int) -> NDArray[Any]:
    """One frame (rows, columns) of canonical voxels (X, Y, Z), as `DicomGeometry.to_frames` gives all."""
    row, column = geometry.corners[index]
    grid = geometry.in_file_order(voxels)
    return grid[column : column + geometry.columns, row : row + geometry.rows, geometry.planes[index]].T


def reference_for(volume: Volume, reference: Volume) -> DicomGeometry:
    """The frames of a DICOM series that a CT from another file shows, such as its conversion to NIfTI.

    Args:
        volume: the CT.
        reference: the series, as it was read.

    Raises:
        InputError: the reference is no DICOM series, or another grid or another image than the CT.
    """
    geometry = reference.geometry
    if not isinstance(geometry, DicomGeometry):
        raise InputError(f"{reference.name} is no DICOM series. Name the series that the CT was made of.")
    require_same_place(volume.name, volume, reference)
    step = tuple(slice(None, None, max(1, n // _COMPARED)) for n in volume.shape)
    ours, theirs = (np.clip(one.hu[step], *HU_WINDOW).astype(np.int32) for one in (volume, reference))
    shown = np.maximum(ours, theirs) > HU_WINDOW[0]  # not air in both
    if shown.any() and np.mean(np.abs(ours - theirs)[shown] <= _MOST_HU_APART) < _LEAST_ALIKE:
        raise InputError(f"{volume.name} shows something else than the DICOM series. Name the series it was made of.")
    return geometry


def slice_spacing_mm(positions: Sequence[Sequence[float]], normal: NDArray[np.float64]) -> tuple[float, bool]:
    """The distance between neighbouring frames along the normal in mm, their median, and whether all have it."""
    steps = np.diff(np.asarray(positions, np.float64) @ normal)
    if len(steps) == 0:
        return 0.0, False
    middle = float(np.median(steps))
    return middle, bool(np.abs(steps - middle).max() <= 1e-3 * abs(middle))
