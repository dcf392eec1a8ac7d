"""What the commands share: a progress bar, settings from arguments, JSON on standard output."""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kidneyseg.errors import InputError
from kidneyseg.progress import Progress
from kidneyseg.settings import PRESET_NAMES, Settings, preset


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


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose and change a preset."""
    group = parser.add_argument_group("settings", "a preset, and changes of it")
    group.add_argument("--preset", choices=PRESET_NAMES, default="default", help="where settings start (%(default)s)")
    group.add_argument("--settings", type=Path, metavar="JSON", help="settings saved by the window or in a sidecar")
    group.add_argument("--kept-percent", type=float, metavar="P", help="brightest share that stage 1 sees, in %%")
    group.add_argument("--eps-mm", type=float, metavar="MM", help="DBSCAN neighbourhood radius")
    group.add_argument("--min-samples", type=_auto_or_count, metavar="N", help="DBSCAN core point count, or auto")
    group.add_argument("--fill", choices=("closing", "hull"), help="how points become a mask")
    group.add_argument("--closing-mm", type=float, metavar="MM", help="radius of the closing")
    group.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (%(default)s)")
    group.add_argument("--models", type=Path, metavar="DIR", help="networks of your own instead of the bundled ones")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that the arguments ask for.

    Raises:
        InputError: when the settings file cannot be read. SettingsError: when a value is out of range.
    """
    settings = _read_settings(arguments.settings) if arguments.settings else preset(arguments.preset)
    rooms: dict[str, dict[str, Any]] = {"sampling": {}, "clusters": {}, "fill": {}}
    if arguments.kept_percent is not None:
        rooms["sampling"]["kept_percent"] = arguments.kept_percent
    if arguments.eps_mm is not None:
        rooms["clusters"]["eps_mm"] = arguments.eps_mm
    if arguments.min_samples is not None:
        rooms["clusters"]["min_samples"] = None if arguments.min_samples == "auto" else arguments.min_samples
    if arguments.fill is not None:
        rooms["fill"]["method"] = arguments.fill
    if arguments.closing_mm is not None:
        rooms["fill"]["closing_mm"] = arguments.closing_mm
    return settings.with_(**rooms)


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


def _read_settings(path: Path) -> Settings:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the settings file {path} cannot be read: {error}") from error
    values = json.loads(text) if text.lstrip().startswith("{") and '"settings"' in text else None
    if isinstance(values, dict) and isinstance(values.get("settings"), dict):
        return Settings.from_dict(values["settings"])  # a whole sidecar
    return Settings.from_json(text)


def _auto_or_count(text: str) -> str | int:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"auto or a whole number, not {text!r}") from None
