"""Reads a CT with the reader that is registered for its file name, else as DICOM or NIfTI."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom.discovery import is_dicom
from kidneyseg.imaging.headers import header_path
from kidneyseg.imaging.nifti import load_volume
from kidneyseg.imaging.streams import InputStream
from kidneyseg.imaging.volume import Volume
from kidneyseg.progress import Progress

Reader = Callable[..., Volume]

_readers: dict[str, Reader] = {".nii": load_volume, ".nii.gz": load_volume}


def register_reader(suffixes: Iterable[str], load: Reader) -> None:
    """Use `load` for file names that end in one of `suffixes`. A later registration replaces an earlier one.

    Args:
        suffixes: with the leading dot, e.g. (".mha", ".mhd"); upper and lower case are the same.
        load: takes the file's path, and the options it knows as keywords, and returns a Volume (int16 HU in RAS
            order, spacing in mm). It raises InputError, with a sentence for the user, for a file that it cannot use.

    Raises:
        ValueError: a suffix does not begin with a dot.
    """
    for suffix in suffixes:
        if not suffix.startswith("."):
            raise ValueError(f"a suffix begins with a dot, as in '.{suffix}'; got {suffix!r}")
        _readers[suffix.lower()] = load


def load(path: str | os.PathLike[str], *, progress: Progress | None = None, **options: Any) -> Volume:
    """Read a CT.

    The reader with the longest matching suffix is used. A folder, a zip and a file that begins as DICOM does are read
    as DICOM; any other file as NIfTI, whose reader checks the content and not the name.

    Args:
        path: the file; for DICOM also a folder or a zip.
        progress: reported to by readers that take it, and can cancel.
        options: keyword arguments of the reader: those of `imaging.nifti.load_volume`, or of
            `imaging.dicom.dicom_reader.load_dicom`.

    Raises:
        InputError: the file is missing, damaged or no CT (see the reader, e.g. `imaging.nifti.load_volume`), or the
            reader does not know an option.
        Cancelled: by `progress`.
    """
    source = Path(path)
    reader = _reader_of(source)
    known = inspect.signature(reader)
    if progress is not None and "progress" in known.parameters:
        options["progress"] = progress
    try:
        known.bind(source, **options)
    except TypeError as error:
        raise InputError(
            f"{source.name} is of a kind that is read without {', '.join(options)}. Leave it out."
        ) from error
    return reader(source, **options)


def check_readable(path: Path) -> None:
    """Raise InputError where there is no such file, or it may not be read."""
    if not reads_dicom(path):
        with InputStream(header_path(path)):
            pass


def reads_dicom(path: Path) -> bool:
    """Whether a path is read as DICOM: a folder, a zip or a DICOM file that no other reader is registered for."""
    return not _matching(path) and is_dicom(path)


def _reader_of(path: Path) -> Reader:
    if matching := _matching(path):
        return _readers[max(matching, key=len)]
    if is_dicom(path):
        from kidneyseg.imaging.dicom.dicom_reader import load_dicom  # noqa: PLC0415 - NIfTI does not need it

        return load_dicom
    return load_volume


def _matching(path: Path) -> list[str]:
    return [suffix for suffix in _readers if path.name.lower().endswith(suffix) and not path.is_dir()]
