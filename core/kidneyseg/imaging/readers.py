"""Reads a CT with the reader that is registered for its file name, NIfTI by default."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kidneyseg.errors import InputError
from kidneyseg.imaging.nifti import load_volume
from kidneyseg.imaging.volume import Volume

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


def load(path: str | os.PathLike[str], **options: Any) -> Volume:
    """Read a CT.

    The reader with the longest matching suffix is used. Any other file is read as NIfTI, whose reader checks the
    content and not the name.

    Args:
        path: the file.
        options: keyword arguments of the reader; for NIfTI, those of `imaging.nifti.load_volume`.

    Raises:
        InputError: the file is missing, damaged or no CT (see the reader, e.g. `imaging.nifti.load_volume`), or the
            reader does not know an option.
    """
    source = Path(path)
    matching = [suffix for suffix in _readers if source.name.lower().endswith(suffix)]
    reader = _readers[max(matching, key=len)] if matching else load_volume
    try:
        inspect.signature(reader).bind(source, **options)
    except TypeError as error:
        raise InputError(
            f"{source.name} is of a kind that is read without {', '.join(options)}. Leave it out."
        ) from error
    return reader(source, **options)
