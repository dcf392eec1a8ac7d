"""The installed command in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def kidneyseg(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kidneyseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
