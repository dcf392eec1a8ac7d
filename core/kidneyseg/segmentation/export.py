"""Writes a mask as NIfTI, and beside it a sidecar JSON with how it was made; reads the sidecar again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import FileChangedError, InputError, OutputError, SidecarError
from kidneyseg.files import check_writable, write_whole
from kidneyseg.findings import Findings
from kidneyseg.imaging.labels import LABEL_NAMES
from kidneyseg.imaging.nifti import case_name, checked_target, save_mask
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.marks import encoded
from kidneyseg.segmentation.pipeline import Result
from kidneyseg.segmentation.provenance import Provenance, current_versions
from kidneyseg.version import __version__

_PROGRAM = "kidneyseg "  # how a sidecar names its writer, before the version
_LARGEST_SIDECAR = 1 << 26  # bytes; the text of `marks.MOST_RUNS` runs and all the rest take less


class FileStamp(NamedTuple):
    """What a file was when it was read or written; `path` has no links."""

    path: Path
    mtime_ns: int
    size: int
    sha256: str


class Sidecar(NamedTuple):
    """What a mask's sidecar says."""

    provenance: Provenance  #: how the networks made the mask
    hu_sha256: str | None  #: of the CT, see `Volume.hu_sha256`; None where it is not stated
    by_hand: int  #: how many voxels were made by hand
    mask_sha256: str | None = None  #: of the mask's file; None where it is not stated
    marks: str = ""  #: which voxels were made by hand, see `marks.encoded`; "" where it is not stated


def export(result: Result, volume: Volume, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
    """Write `result.mask` to `path` and its sidecar beside it; returns the sidecar's path.

    Raises:
        OutputError: as for `check_export`, before anything is written, and when the mask cannot be written.
        SidecarError: the mask was written, its sidecar was not.
    """
    made = Provenance.of(result)
    return export_mask(result.mask, volume, path, findings=result.findings, provenance=made, overwrite=overwrite)


def export_mask(
    mask: NDArray[np.uint8],
    volume: Volume,
    path: str | os.PathLike[str],
    *,
    findings: Findings,
    provenance: Provenance | None,
    marks: NDArray[np.uint8] | None = None,
    overwrite: bool = True,
    expected: FileStamp | None = None,
) -> Path:
    """Write a mask to `path` and its sidecar beside it; returns the sidecar's path.

    Args:
        mask: uint8 (X, Y, Z), on the volume's voxels: 0, 1 kidney, 2 tumour, 3 cyst, as in KiTS.
        volume: the CT.
        path: ends in .nii or .nii.gz.
        findings: measurements on the mask.
        provenance: how the networks made the mask; None where this is unknown.
        marks: uint8 (X, Y, Z), which voxels were made by hand; see `EditedMask.marks`.
        overwrite: False refuses to replace either file.
        expected: what the file at `path` was when it was opened or saved last; see `check_export`.

    Raises:
        OutputError: as for `check_export`, before anything is written, and when the disk is full.
        FileChangedError: as for `check_export`, an OutputError, before anything is written.
    """
    check_export(path, volume.path, overwrite=overwrite, expected=expected)
    save_mask(mask, volume, path, overwrite=overwrite)
    beside = sidecar_path(path)
    write_sidecar(beside, Path(path), mask, volume, findings=findings, provenance=provenance, marks=marks)
    return beside


def write_sidecar(
    beside: Path,
    written: Path | None,
    mask: NDArray[np.uint8],
    volume: Volume,
    *,
    findings: Findings,
    provenance: Provenance | None,
    marks: NDArray[np.uint8] | None = None,
) -> None:
    """Write the sidecar `beside` of the mask in the file `written`, None if it is in none; see `export_mask`.

    Raises:
        SidecarError: it cannot be written.
    """
    values = sidecar(volume, findings, provenance)
    if marks is not None and marks.any():
        values["edits"] = _edits(mask, marks)
    try:
        if written is not None:
            values["mask"] = {"sha256": stamp(written).sha256}
        write_whole(beside, (json.dumps(values, indent=2) + "\n").encode())
    except (OutputError, InputError) as error:
        older = f" The {beside.name} that is there describes an earlier mask." if beside.exists() else ""
        name = f" {written.name}" if written is not None else ""
        raise SidecarError(f"The mask{name} is saved, but not its sidecar. {error}{older}") from error


def check_export(
    path: str | os.PathLike[str], ct: Path | None, *, overwrite: bool = True, expected: FileStamp | None = None
) -> Path:
    """Check that a mask can be written to `path`, and its sidecar beside it; returns the sidecar's path.

    Raises:
        OutputError: `path` does not end in .nii or .nii.gz or is the CT; the folder is missing or not writable; either
            file exists while `overwrite` is false; or another program's JSON lies where the sidecar would.
        FileChangedError: `expected` is of this path and the file was changed since.
    """
    mask = Path(path)
    beside = sidecar_path(mask)
    check_writable(checked_target(mask, ct), overwrite=overwrite)
    check_sidecar(beside, overwrite=overwrite)
    if expected is not None and expected.path == _resolved(mask) and changed_since(expected):
        raise FileChangedError(
            f"{mask.name} was changed by another program since it was opened or saved here. "
            "Choose another name, or confirm that it may be replaced."
        )
    return beside


def check_sidecar(beside: Path, *, overwrite: bool = True) -> None:
    """Raise OutputError where a sidecar cannot be written, or would replace another program's JSON."""
    check_writable(beside, overwrite=overwrite)
    if beside.exists() and not _is_sidecar(_json(beside)):
        raise OutputError(f"{beside.name} is another program's file and is not replaced. Choose another name.")


def sidecar(volume: Volume, findings: Findings, provenance: Provenance | None) -> dict[str, Any]:
    """What explains and reproduces a mask, as plain values; nothing identifies the patient, not even a file name.

    `export_mask` says what the arguments are, and adds the mask's hash and edits.
    """
    made = (Provenance() if provenance is None else provenance).to_dict()
    sentences = list(findings.sentences())
    return {
        "program": _PROGRAM + __version__,
        "research_only": "Not a medical device.",
        "input": {
            "shape": list(volume.shape),
            "spacing_mm": [round(s, 6) for s in volume.spacing_mm],
            "hu_sha256": volume.hu_sha256,
            "calibrated": volume.calibrated,
            "hu_offset": volume.hu_offset,
        },
        **made,
        "findings": findings.to_dict() | {"sentences": sentences},
        "notes": [*made["notes"], *sentences],
        "versions": made["versions"] or current_versions(),
    }


def _edits(mask: NDArray[np.uint8], marks: NDArray[np.uint8]) -> dict[str, Any]:
    """What a sidecar says of the voxels that were made by hand."""
    counts = np.bincount(mask[marks > 0], minlength=len(LABEL_NAMES)).tolist()
    return {"voxels by hand": dict(zip(LABEL_NAMES, counts, strict=True)), "runs": encoded(marks)}


def read_sidecar(mask: str | os.PathLike[str]) -> Sidecar | None:
    """What the sidecar beside a mask says; None where there is none, or another program's JSON in its place.

    Raises:
        InputError: it is damaged.
    """
    beside = sidecar_path(mask)
    if not beside.exists():
        return None
    content = _json(beside)
    if content is None:
        raise InputError(f"{beside.name} cannot be read as JSON")
    if not _is_sidecar(content):
        return None
    try:
        provenance = Provenance.from_dict(content)
        on_findings = content["findings"].get("sentences", [])
        notes = tuple(note for note in provenance.notes if note not in on_findings)
        edits = content.get("edits", {})
        by_hand, runs = sum(edits.get("voxels by hand", {}).values()), edits.get("runs", "")
        digest, of_mask = content.get("input", {}).get("hu_sha256"), content.get("mask", {}).get("sha256")
    except (AttributeError, TypeError) as error:
        raise InputError(f"{beside.name} is damaged") from error
    return Sidecar(dataclasses.replace(provenance, notes=notes), digest, by_hand, of_mask, str(runs))


def stamp(path: str | os.PathLike[str]) -> FileStamp:
    """What a file is now. Raises InputError where it cannot be read."""
    real = _resolved(path)
    try:
        with real.open("rb") as file:
            about = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{real.name} cannot be read: {error.strerror}.") from error
    return FileStamp(real, about.st_mtime_ns, about.st_size, digest)


def changed_since(before: FileStamp) -> bool:
    """Whether a file has another content than before. One that is gone has not: nothing of it can be lost."""
    try:
        about = before.path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    if (about.st_mtime_ns, about.st_size) == (before.mtime_ns, before.size):
        return False
    return about.st_size != before.size or stamp(before.path).sha256 != before.sha256


def _resolved(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(path))


def sidecar_path(mask: str | os.PathLike[str]) -> Path:
    """Where the sidecar of a mask lies: its name without .nii, .nii.gz or .dcm, and .json."""
    path = Path(mask)
    return path.with_name(case_name(path) + ".json")


def _json(path: Path) -> object:
    """The content of a JSON file, None where it cannot be read."""
    try:
        return json.loads(path.read_bytes()) if path.stat().st_size <= _LARGEST_SIDECAR else None
    except (OSError, ValueError, RecursionError):
        return None


def _is_sidecar(content: object) -> TypeGuard[dict[str, Any]]:
    """Whether KidneySeg wrote this beside a mask; its evaluation reports name the program too."""
    if not isinstance(content, dict) or not {"settings", "findings"} <= content.keys():
        return False
    return str(content.get("program")).startswith(_PROGRAM)
