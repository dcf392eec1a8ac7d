"""Looks before Qt starts for what it would end the process over without a word for the user: a display, libraries."""

from __future__ import annotations

import os
from collections.abc import Mapping

#: The Debian packages of the libraries that bare systems lack most often.
_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libxcb-cursor.so.0": "libxcb-cursor0",
}


def obstacle(environment: Mapping[str, str] = os.environ) -> str | None:
    """One sentence on why the window cannot open here; None if nothing is known to be in its way."""
    if not any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")):
        return "no display was found (DISPLAY is empty); start from a desktop session, over ssh -X, or under xvfb-run"
    try:
        import PySide6.QtWidgets  # noqa: F401, PLC0415 - the import itself is the check; nothing of it is used
    except ImportError as error:
        library, _, rest = str(error).partition(": ")
        if "cannot open shared object file" not in rest:
            raise
        package = _PACKAGES.get(library)
        how = f": sudo apt-get install {package}" if package else ""
        return f"the library {library} is missing on this system; install it{how}"
    return None
