"""NIfTI headers, and the two files of a .hdr/.img pair."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from kidneyseg.errors import InputError
from kidneyseg.imaging.light_nibabel import HeaderDataError, nib
from kidneyseg.imaging.streams import InputStream

Header = nib.Nifti1Header  # Nifti2Header is a subclass of it

_PAIR = re.compile(r"(?P<stem>.+)\.(?P<half>hdr|img)(\.gz)?", re.IGNORECASE)


def read_header(stream: InputStream) -> Header:
    """Read the header of a NIfTI-1 or NIfTI-2 file or pair. Raises InputError for anything else."""
    name = stream.path.name
    block = stream.peek_header(348)
    if bytes(block[:4]) in (b"\x1c\x02\0\0", b"\0\0\x02\x1c"):
        block += stream.peek_header(540 - 348)
    kind: type[Header] = nib.Nifti2Header if len(block) == 540 else Header
    magic = bytes(block[4:6] if kind is nib.Nifti2Header else block[344:346])
    if len(block) < kind.sizeof_hdr or magic not in (b"n+", b"ni"):
        raise InputError(f"{name} is not a NIfTI file, nor DICOM. Choose a .nii or .nii.gz file, or a DICOM study.")
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # errors are reported below, once
    try:
        return kind(bytes(block), check=False)
    except (HeaderDataError, ValueError) as error:
        raise InputError(f"{name} has a damaged NIfTI header ({error}). Export it again.") from error


def is_pair(header: Header) -> bool:
    """Whether the voxels lie in a file of their own."""
    return bytes(header["magic"].item()).startswith(b"ni")


def voxel_offset(header: Header) -> float:
    """The byte where the voxels begin in their file, as the header states it: possibly NaN or out of range."""
    return float(header["vox_offset"]) or (0.0 if is_pair(header) else float(header.single_vox_offset))


def header_path(path: Path) -> Path:
    """The file with the header of `path`: of a pair's .img (or .img.gz) its .hdr, else `path` itself.

    Raises:
        InputError: when the .hdr is missing.
    """
    parts = _PAIR.fullmatch(path.name)
    return _partner(path, "hdr") if parts and parts["half"].lower() == "img" and path.is_file() else path


def image_path(path: Path) -> Path:
    """The file with the voxels of a pair of which `path` is one half.

    Raises:
        InputError: when the .img is missing.
    """
    parts = _PAIR.fullmatch(path.name)
    return path if parts and parts["half"].lower() == "img" else _partner(path, "img")


def halves(path: Path) -> tuple[Path, ...]:
    """The files that a CT lies in: `path`, and of a pair its other half."""
    parts = _PAIR.fullmatch(path.name)
    try:
        return (path, _partner(path, "img" if parts["half"].lower() == "hdr" else "hdr")) if parts else (path,)
    except InputError:
        return (path,)


def _partner(path: Path, half: str) -> Path:
    parts = _PAIR.fullmatch(path.name)
    stem = parts["stem"] if parts else path.name
    for suffix in (half, f"{half}.gz", half.upper(), f"{half.upper()}.GZ"):
        partner = path.with_name(f"{stem}.{suffix}")
        if partner.is_file():
            return partner
    raise InputError(
        f"{path.name} is half of a .hdr/.img pair, but {stem}.{half} is missing. Put both into one folder."
    )
