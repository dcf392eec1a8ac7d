"""What the commands share: a progress bar, JSON on standard output, peak memory."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kidneyseg.progress import Progress


class BarProgress(Progress):
    """A progress bar on standard error, where that is a terminal; elsewhere silent, or a line every so many seconds."""

    def __init__(self, line_every_s: float | None = None) -> None:
        self._bar = None
        self._line_every_s, self._told = line_every_s, time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=100, bar_format="{desc:<28}{bar} {n:3.0f}% {elapsed}")

    def show(self, stage: str, fraction: float) -> None:
        """Move the bar, or say where we are."""
        if self._bar is not None:
            self._bar.set_description_str(stage)
            self._bar.n = 100 * fraction
            self._bar.refresh()
        elif self._line_every_s is not None and time.monotonic() - self._told >= self._line_every_s:
            self._told = time.monotonic()
            print(stage, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._bar is not None:
            self._bar.close()


@contextmanager
def lasting_imports() -> Iterator[None]:
    """Imports the engine without a search for garbage: the objects that torch makes on import all stay.

    Python would search them again and again while there are more and more, and once more at its end: .6 s of 4.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2))


def peak_mb() -> int:
    """The most memory this process has used so far, in MB of 10^6 bytes."""
    # Linux starts a process's ru_maxrss at its parent's size; VmHWM is its own.
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii", errors="replace").splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)
