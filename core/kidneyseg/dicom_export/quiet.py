"""Keeps what the DICOM libraries say, and the errors of headers that they cannot use, from showing the patient."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from kidneyseg.errors import InputError

_LIBRARIES = ("highdicom", "pydicom")
_OURS = "kidneyseg"


@contextmanager
def quietly() -> Iterator[None]:
    """Make objects in the body, without the libraries' warnings and log messages: they quote names and numbers.

    An error that arises in our own code is a fault of the program, and passes.

    Raises:
        InputError: the libraries cannot use a value of the series' headers.
    """
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
            if not _is_of_library(error):
                raise
            kind = type(error).__name__
            # Not `from error`: its message may hold what a log must not.
            raise InputError(
                f"The headers of the DICOM series are damaged ({kind}), so no DICOM object can be written. "
                "Write NIfTI instead."
            ) from None


def _is_of_library(error: Exception) -> bool:
    """Whether a library raised an error, or what it called did, after our code had called it."""
    packages = [
        str(frame.f_globals.get("__name__")).partition(".")[0] for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    return next((name for name in reversed(packages) if name in {_OURS, *_LIBRARIES}), _OURS) != _OURS
