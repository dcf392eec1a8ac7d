"""Writes a mask in the formats that a user asks for: NIfTI, and kinds of DICOM objects."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.dicom_export.identity import MANUFACTURER
from kidneyseg.dicom_export.quiet import quietly
from kidneyseg.errors import InputError, OutputError
from kidneyseg.files import atomic_write, check_writable
from kidneyseg.findings import Findings
from kidneyseg.imaging.dicom import tags
from kidneyseg.imaging.dicom.elements import DamagedError
from kidneyseg.imaging.dicom.frames import DicomGeometry
from kidneyseg.imaging.dicom.instances import FileSource, read_instance
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.export import check_export, check_sidecar, export_mask, sidecar_path, write_sidecar
from kidneyseg.segmentation.provenance import Provenance

if TYPE_CHECKING:
    from pydicom import Dataset

    from kidneyseg.dicom_export.contents import Contents


class Format(StrEnum):
    """What a mask is written as."""

    NIFTI = "nifti"  #: labels on the CT's grid
    SEG = "seg"  #: DICOM Segmentation, binary
    LABELMAP = "labelmap"  #: DICOM Label Map Segmentation
    RTSTRUCT = "rtstruct"  #: DICOM RT Structure Set
    SR = "sr"  #: DICOM structured report of the measurements; refers to a SEG, which is written with it
    IMAGES = "images"  #: DICOM secondary captures, one for each finding


#: what a file's name ends in after the case's name
ENDINGS = {
    Format.NIFTI: "_mask.nii.gz",
    Format.SEG: "_seg.dcm",
    Format.LABELMAP: "_labelmap.dcm",
    Format.RTSTRUCT: "_rtstruct.dcm",
    Format.SR: "_sr.dcm",
    Format.IMAGES: "_key.dcm",
}
Targets = Mapping[Format, Path]
"""The file of each format. Those of `Format.IMAGES` get numbers: CASE_key-1.dcm."""


class Written(NamedTuple):
    """Files that were written."""

    files: dict[Format, tuple[Path, ...]]  #: of each format
    sidecar: Path


def with_segmentation(targets: Targets) -> dict[Format, Path]:
    """The targets, and a SEG for a structured report that would refer to none: OUT_seg.dcm beside OUT.dcm."""
    complete = dict(targets)
    if Format.SR in complete and not {Format.SEG, Format.LABELMAP} & complete.keys():
        report = complete[Format.SR]
        stem = report.name.removesuffix(".dcm").removesuffix("_sr")
        complete[Format.SEG] = report.with_name(stem + ENDINGS[Format.SEG])
    return {kind: complete[kind] for kind in Format if kind in complete}


def check_formats(targets: Targets, ct: Path | None, *, overwrite: bool = True) -> list[Path]:
    """Check that a mask can be written to these files, and a sidecar beside the first.

    Returns:
        Those of the files, the first key image among them, that exist and would be replaced.

    Raises:
        OutputError: a name has another ending than its format's, a folder is missing or not writable, a file exists
            while `overwrite` is false, or a file that KidneySeg did not write would be replaced.
    """
    complete = with_segmentation(targets)
    beside = sidecar_path(next(iter(complete.values())))
    if Format.NIFTI in complete:
        check_export(complete[Format.NIFTI], ct, overwrite=overwrite)
    else:
        check_sidecar(beside, overwrite=overwrite)
    first = [_numbered(path, 1) if kind == Format.IMAGES else path for kind, path in complete.items()]
    for kind, path in zip(complete, first, strict=True):
        if kind != Format.NIFTI:
            _check_object(path, overwrite=overwrite)
    return [path for path in (*first, beside) if path.exists()]


def export_formats(
    mask: NDArray[np.uint8],
    volume: Volume,
    targets: Targets,
    *,
    findings: Findings,
    provenance: Provenance | None,
    marks: NDArray[np.uint8] | None = None,
    geometry: DicomGeometry | None = None,
    overwrite: bool = True,
    made_at: datetime | None = None,
) -> Written:
    """Write a mask in several formats, and a sidecar beside the first of them. Each file is complete or not there.

    Args:
        mask: uint8 (X, Y, Z), on the volume's voxels: 0, 1 kidney, 2 tumour, 3 cyst.
        volume: the CT.
        targets: the file of each format; see `with_segmentation` for one that may be added.
        findings: measurements on the mask.
        provenance: how the networks made the mask; None where this is unknown.
        marks: uint8 (X, Y, Z), which voxels were made by hand; see `EditedMask.marks`.
        geometry: of the DICOM series, from `source.reference_for`; the volume's own if None.
        overwrite: False refuses to replace any file.
        made_at: the date and time in DICOM objects; now if None.

    Raises:
        OutputError: as for `check_formats`, before anything is written, and when the disk is full.
        InputError: a DICOM object is asked for, and the CT is no DICOM series or one without identifiers.
        SidecarError: all was written but the sidecar.
    """
    complete = with_segmentation(targets)
    check_formats(complete, volume.path, overwrite=overwrite)
    objects: dict[Format, list[Dataset]] = {}
    if complete.keys() - {Format.NIFTI}:
        series = require_series(volume, geometry)
        from kidneyseg.dicom_export.contents import gather

        contents = gather(mask, volume, series, findings=findings, provenance=provenance, marks=marks, made_at=made_at)
        with quietly():
            objects = _objects(complete, contents, volume)
    files = {kind: _paths(complete[kind], kind, len(made)) for kind, made in objects.items()}
    for path in (path for paths in files.values() for path in paths):
        _check_object(path, overwrite=overwrite)
    beside = None
    if Format.NIFTI in complete:
        target = complete[Format.NIFTI]
        beside = export_mask(
            mask, volume, target, findings=findings, provenance=provenance, marks=marks, overwrite=overwrite
        )
    for kind, made in objects.items():
        _write_objects(files[kind], made, overwrite=overwrite)
    if Format.NIFTI in complete:
        files = {Format.NIFTI: (complete[Format.NIFTI],), **files}
    if beside is None:
        beside = sidecar_path(next(iter(complete.values())))
        first = next((path for paths in files.values() for path in paths), None)
        write_sidecar(beside, first, mask, volume, findings=findings, provenance=provenance, marks=marks)
    return Written(files, beside)


def check_series(volume: Volume, targets: Targets, geometry: DicomGeometry | None = None) -> DicomGeometry:
    """As `require_series`, after a check that the objects of these formats can refer to it. Raises InputError."""
    from kidneyseg.dicom_export.source import (
        require_one_object,
        source_headers,
    )

    series = require_series(volume, geometry)
    with quietly():
        headers = source_headers(series)
    if {Format.SEG, Format.LABELMAP} & with_segmentation(targets).keys():
        require_one_object(headers)
    return series


def require_series(volume: Volume, geometry: DicomGeometry | None = None) -> DicomGeometry:
    """The DICOM series of a CT, or the one given. Raises InputError where there is none."""
    series = volume.geometry if geometry is None else geometry
    if not isinstance(series, DicomGeometry):
        raise InputError(
            f"{volume.name} is no DICOM series, so no DICOM object can refer to it. Name the series that it was made "
            "of (--dicom-reference), or write NIfTI."
        )
    return series


def _objects(targets: Targets, contents: Contents, volume: Volume) -> dict[Format, list[Dataset]]:
    from kidneyseg.dicom_export.key_images import key_images
    from kidneyseg.dicom_export.rtstruct import structure_set
    from kidneyseg.dicom_export.seg import segmentation
    from kidneyseg.dicom_export.structured_report import measurement_report

    made: dict[Format, list[Dataset]] = {}
    if Format.SEG in targets:
        made[Format.SEG] = [segmentation(contents)]
    if Format.LABELMAP in targets:
        made[Format.LABELMAP] = [segmentation(contents, labelmap=True)]
    if Format.RTSTRUCT in targets:
        made[Format.RTSTRUCT] = [structure_set(contents)]
    if Format.SR in targets:
        referred = (made.get(Format.SEG) or made[Format.LABELMAP])[0]
        made[Format.SR] = [measurement_report(contents, referred)]
    if Format.IMAGES in targets:
        made[Format.IMAGES] = key_images(contents, volume)
    return made


def _write_objects(paths: Sequence[Path], objects: Sequence[Dataset], *, overwrite: bool) -> None:
    for path, one in zip(paths, objects, strict=True):
        with quietly(), atomic_write(path, overwrite=overwrite) as file:
            one.save_as(file, enforce_file_format=True)


def _paths(path: Path, kind: Format, count: int) -> tuple[Path, ...]:
    return tuple(_numbered(path, n) for n in range(1, count + 1)) if kind == Format.IMAGES else (path,)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def _check_object(path: Path, *, overwrite: bool) -> None:
    """Check that a DICOM object may be written to a file: one that this program did not write is never replaced."""
    if path.suffix.lower() != ".dcm":
        raise OutputError(f"{path.name} is no name for a DICOM object. End it in .dcm.")
    check_writable(path, overwrite=overwrite)
    if os.path.exists(path) and not _is_own(path):
        raise OutputError(f"{path.name} is another program's file and is not replaced. Choose another name.")


def _is_own(path: Path) -> bool:
    try:
        found = read_instance(FileSource(path, path.stat().st_size))
    except (OSError, DamagedError):
        return False
    return found is not None and found.elements.text(tags.MANUFACTURER) == MANUFACTURER
