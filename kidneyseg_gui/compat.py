"""A mend for PySide6 6.12 on Python 3.11, where calls lose references to True and to None.

Each True that a signal brings to a Python slot loses one, each `widget.update()` or repaint one of None. Once they
are used up the interpreter aborts ("none_dealloc: deallocating None"), at the latest when it ends. From Python 3.12 on
both are immortal and nothing needs to be done.
"""

from __future__ import annotations

import ctypes
import sys

# More calls than a session can make, and far below the counter's end.
_SPARE = 1 << 60


def keep_constants_alive() -> None:
    """Give True and None references to spare, for the life of the process; may be called again."""
    if sys.version_info >= (3, 12):
        return
    for constant in (True, None):
        # The reference count is the first field of every object of CPython.
        count = ctypes.c_ssize_t.from_address(id(constant))
        if count.value < _SPARE:
            count.value += _SPARE
