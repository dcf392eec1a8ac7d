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
from types import TracebackType
from typing import Any

from kidneyseg.lazy import quick_imports
from kidneyseg.progress import Progress


class BarProgress(Progress):
    """A progress bar on standard error if that is a terminal; else nothing, or one line per `line_every_s` seconds."""

    def __init__(self, line_every_s: float | None = None) -> None:
        self._bar: Any = None
        self._line_every_s, self._last_line = line_every_s, time.monotonic()

    def show(self, stage: str, fraction: float) -> None:
        """Update the bar, or print a line if one is due."""
        if sys.stderr.isatty():
            from tqdm import tqdm

            if self._bar is None:
                self._bar = tqdm(total=100, bar_format="{desc:<28}{bar} {n:3.0f}% {elapsed}")
            self._bar.set_description_str(stage)
            self._bar.n = 100 * fraction
            self._bar.refresh()
        elif self._line_every_s is not None and time.monotonic() - self._last_line >= self._line_every_s:
            self._last_line = time.monotonic()
            print(stage, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Print a line; the current bar ends above it, and the next report begins another."""
        self.close()
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the bar's line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> BarProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@contextmanager
def lasting_imports() -> Iterator[None]:
    """`quick_imports` without garbage collection, as all that they create stays alive."""
    gc.disable()
    try:
        with quick_imports():
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
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
