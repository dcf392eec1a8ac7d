"""A mend for PySide6 6.12 on Python 3.11, where each True that a signal brings to a Python slot loses a reference.

Once they are used up the interpreter aborts ("deallocating True or False"), at the latest when it ends. From Python
3.12 on True is immortal and nothing needs to be done.
"""

from __future__ import annotations

import ctypes
import sys

_TICKS = 1_000_000  # more check marks than anyone sets between start and end; 8 MB


def keep_true_alive() -> None:
    """Give True references to spare, for the life of the process."""
    if sys.version_info < (3, 12):
        spare = (True,) * _TICKS
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(spare))
