"""Keeps what the DICOM libraries say, and the errors of headers that they cannot use, from showing the patient."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from kidneyseg.errors import InputError

_LIBRARIES = ("highdicom", "pydicom")


@contextmanager
def quietly() -> Iterator[None]:
    """Make objects in the body, without the libraries' warnings and log messages: they quote names and numbers.

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
            kind = type(error).__name__
            # Not `from error`: its message may hold what a log must not.
            raise InputError(
                f"The headers of the DICOM series are damaged ({kind}), so no DICOM object can be written. "
                "Write NIfTI instead."
            ) from None
