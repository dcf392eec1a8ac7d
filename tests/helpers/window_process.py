"""The real window in a process of its own, on a virtual screen."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

XVFB = ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24"]
needs_xvfb = pytest.mark.skipif(
    shutil.which("xvfb-run") is None, reason="xvfb-run is not installed (apt install xvfb xauth)"
)


def environment(home: Path) -> dict[str, str]:
    """The environment of a user with this home, on the virtual screen."""
    clean = {k: v for k, v in os.environ.items() if k not in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")}
    return {**clean, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "QT_QPA_PLATFORM": "xcb"}
