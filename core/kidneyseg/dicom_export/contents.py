"""What all DICOM objects of one mask say: its kidneys, tumours and cysts on the series' frames, and their maker."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import bounding_box
from kidneyseg.dicom_export.codes import PROPERTIES, Property
from kidneyseg.dicom_export.identity import digest, uid
from kidneyseg.dicom_export.quiet import quietly
from kidneyseg.dicom_export.source import OF_STUDY, source_headers
from kidneyseg.findings.numbering import Instance, Instances, find_instances, voxel_counts
from kidneyseg.findings.records import CystFinding, Findings, KidneyFinding, Side, TumourFinding
from kidneyseg.imaging.dicom.frames import DicomGeometry
from kidneyseg.imaging.labels import KIDNEY, LABEL_NAMES
from kidneyseg.imaging.volume import Volume
from kidneyseg.libraries import installed_version
from kidneyseg.segmentation.provenance import Provenance
from kidneyseg.version import __version__

if TYPE_CHECKING:
    from pydicom import Dataset

RESEARCH_ONLY = "Research use only. Not a medical device."
_LONGEST_NAME = 64  # of a value of the type LO
_SECONDS = "seconds"  # of a provenance: they differ between two runs with the same result


@dataclass(frozen=True)
class Segment:
    """A kidney, a tumour or a cyst, or small pieces of one label."""

    number: int  #: from 1 on, its value in `Contents.numbers`
    name: str  #: for a viewer's list, such as "Left kidney"
    label: int  #: KIDNEY, TUMOUR or CYST
    side: Side | None  #: if known
    finding: KidneyFinding | TumourFinding | CystFinding | None  #: what was measured, None for small pieces
    ml: float  #: volume of its voxels in mL
    tracking_uid: str  #: the same in all objects of the result
    made: str  #: AUTOMATIC, SEMIAUTOMATIC or MANUAL, as DICOM calls it

    @property
    def property(self) -> Property:
        """Its codes and colour."""
        return PROPERTIES[self.label]


@dataclass(frozen=True)
class Algorithm:
    """What made a mask."""

    name: str  #: the program and its networks; at most 64 characters
    version: str  #: of the program
    parameters: Mapping[str, str] = field(default_factory=dict)  #: networks and settings, as text


@dataclass(frozen=True, eq=False)
class Contents:
    """What all DICOM objects of one mask say."""

    geometry: DicomGeometry
    headers: tuple[Dataset, ...]  #: of the series, see `source_headers`
    #: uint8 or uint16 (frames, rows, columns), the segment of each pixel, 0 for background
    numbers: NDArray[np.uint8] | NDArray[np.uint16]
    segments: tuple[Segment, ...]  #: at least one; of an empty mask, a kidney without voxels
    findings: Findings
    algorithm: Algorithm
    digest: str  #: of all that the objects say but dates and times of writing
    made_at: datetime

    def uid(self, *names: str) -> str:
        """The UID of an object of this result, by its kind; see `identity`."""
        return uid(self.digest, *names)


def gather(
    mask: NDArray[np.uint8],
    volume: Volume,
    geometry: DicomGeometry,
    *,
    findings: Findings,
    provenance: Provenance | None,
    marks: NDArray[np.uint8] | None = None,
    made_at: datetime | None = None,
) -> Contents:
    """Gather what the DICOM objects of a mask say.

    Args:
        mask: uint8 (X, Y, Z), on the volume's voxels: 0, 1 kidney, 2 tumour, 3 cyst.
        volume: the CT.
        geometry: of the DICOM series, with the volume's grid: the volume's own, or from `source.reference_for`.
        findings: measurements on the mask.
        provenance: how the networks made the mask; None where this is unknown.
        marks: uint8 (X, Y, Z), not 0 where a label was made by hand; see `EditedMask.marks`.
        made_at: when; now if None.

    Raises:
        InputError: the series lacks an identifier, without which nothing can refer to it.
    """
    with quietly():
        headers = source_headers(geometry)
    found = find_instances(mask, volume, findings)
    algorithm = _algorithm(provenance)
    numbers = geometry.to_frames(found.numbers)
    made = _made(found, marks, known=provenance is not None)
    said = {
        "writer": [__version__, installed_version("highdicom"), installed_version("pydicom")],
        "series": [[str(header.get(name)) for name in ("SOPInstanceUID", *OF_STUDY)] for header in headers],
        "frames": [[frame.header, frame.number, *frame.position_mm] for frame in geometry.frames],
        "pixels": [geometry.directions, geometry.pixel_spacing_mm, numbers.shape, str(numbers.dtype)],
        "findings": findings.to_dict(),
        "made": made,
        "provenance": _lasting(provenance),
    }
    whole = digest(said, (np.ascontiguousarray(frame).data for frame in numbers))
    segments = _segments(found, made, volume.voxel_ml, whole)
    return Contents(geometry, headers, numbers, segments, findings, algorithm, whole, made_at or datetime.now())


def _segments(found: Instances, made: list[str], voxel_ml: float, whole: str) -> tuple[Segment, ...]:
    """The objects as segments; of an empty mask, a kidney without voxels. `whole` is the digest of the contents."""
    objects = found.objects or (Instance(KIDNEY, None, None),)
    of_each = zip(objects, _names(objects), found.voxels or (0,), made or ("AUTOMATIC",), strict=True)
    return tuple(
        Segment(number, name, one.label, one.side, one.finding, float(count) * voxel_ml, uid(whole, name), how)
        for number, (one, name, count, how) in enumerate(of_each, start=1)
    )


def _names(objects: tuple[Instance, ...]) -> list[str]:
    """Names for a viewer's list; no two are the same."""
    several = Counter((one.label, one.side) for one in objects if one.finding is not None)
    given: Counter[tuple[int, Side | None]] = Counter()
    names = []
    for one in objects:
        word = LABEL_NAMES[one.label].capitalize()
        if one.finding is None:
            names.append(f"{word}, small pieces" if len(objects) > 1 else word)
            continue
        key = (one.label, one.side if one.label == KIDNEY else None)
        given[key] += 1
        if one.label == KIDNEY:
            number = f" {given[key]}" if several[one.label, one.side] > 1 else ""
            names.append((f"{one.side.capitalize()} kidney" if one.side else word) + number)
        else:
            names.append(f"{word} {given[key]}" + (f", {one.side} kidney" if one.side else ""))
    return names


def _made(found: Instances, marks: NDArray[np.uint8] | None, *, known: bool) -> list[str]:
    """How each object was made: by the networks, by hand, or both; both as well where its origin is not known."""
    count, box = len(found.objects), None if marks is None else bounding_box(marks)
    if marks is None or box is None:
        return ["AUTOMATIC" if known else "SEMIAUTOMATIC"] * count
    by_hand = voxel_counts(found.numbers[box] * (marks[box] > 0), count)
    automatic = "AUTOMATIC" if known else "SEMIAUTOMATIC"
    return [
        automatic if hand == 0 else "MANUAL" if hand == voxels else "SEMIAUTOMATIC"
        for hand, voxels in zip(by_hand, found.voxels, strict=True)
    ]


def _lasting(provenance: Provenance | None) -> dict[str, Any]:
    values = (provenance or Provenance()).to_dict()
    return {name: value for name, value in values.items() if name != _SECONDS}


def _algorithm(provenance: Provenance | None) -> Algorithm:
    if provenance is None or not provenance.model_ids:
        return Algorithm("KidneySeg, mask of unknown origin", __version__)
    networks = ", ".join(provenance.model_ids)
    name = f"KidneySeg ({networks})"
    if len(name) > _LONGEST_NAME:  # the last network labels the kidneys and tumours
        name = f"KidneySeg ({provenance.model_ids[-1]})"[:_LONGEST_NAME]
    settings = None if provenance.settings is None else provenance.settings.to_dict()
    parameters = {"networks": networks, "settings": json.dumps(settings, separators=(",", ":"))}
    return Algorithm(name, provenance.versions.get("kidneyseg", __version__), parameters)
