"""The command line's settings: a method's starting values, or a file, and changes of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kidneyseg.errors import InputError, SettingsError
from kidneyseg.settings import PRESET_NAMES, Settings, preset

# Arguments that change a setting: their group and its name there.
_CHANGES = {
    "kept_percent": ("sampling", "kept_percent"),
    "bands": ("sampling", "bands"),
    "margin_mm": ("stage2", "margin_mm"),
    "eps_mm": ("clusters", "eps_mm"),
    "core_share": ("clusters", "core_share"),
    "min_samples": ("clusters", "min_samples"),
    "fill": ("fill", "algorithm"),
    "closing_mm": ("fill", "closing_mm"),
}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose a method and change its settings, and where its networks are and run."""
    group = parser.add_argument_group("settings", "a method with its starting values, or a file, and changes of them")
    group.add_argument("--preset", choices=PRESET_NAMES, help="the method (default)")
    group.add_argument("--settings", type=Path, metavar="JSON", help="settings saved by the window, or a sidecar")
    group.add_argument("--kept-percent", type=float, metavar="P", help="brightest share that stage 1 gets, in %%")
    group.add_argument("--bands", type=int, metavar="N", help="intensity bands of that share (paper only)")
    group.add_argument(
        "--margin-mm", type=float, metavar="MM", help="stage 2's margin around detections (default only)"
    )
    group.add_argument("--eps-mm", type=float, metavar="MM", help="DBSCAN neighbourhood radius")
    group.add_argument("--core-share", type=float, metavar="S", help="DBSCAN: filled share of the ball (default only)")
    group.add_argument("--min-samples", type=auto_or_integer, metavar="N", help="DBSCAN: points, or auto (paper only)")
    group.add_argument("--fill", choices=("closing", "hull"), help="how points become a mask")
    group.add_argument("--closing-mm", type=float, metavar="MM", help="radius of the closing")
    group.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (%(default)s)")
    group.add_argument("--models", type=Path, metavar="DIR", help="networks of your own instead of the bundled ones")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that the arguments give.

    Raises:
        InputError: when the settings file cannot be read.
        SettingsError: when a value is out of range or of another method, or the file holds no settings.
    """
    settings = _read(arguments.settings) if arguments.settings else preset(arguments.preset or "default")
    if arguments.preset not in (None, settings.method):
        raise SettingsError(
            f"{arguments.settings} is for the method {settings.method}; leave out --preset {arguments.preset}"
        )
    changes: dict[str, dict[str, Any]] = {}
    for argument, (group, name) in _CHANGES.items():
        value = getattr(arguments, argument)
        if value is not None:
            changes.setdefault(group, {})[name] = None if value == "auto" else value
    return settings.with_(**changes)


def _read(path: Path) -> Settings:
    try:
        return Settings.from_json(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"the settings file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not a text file, so no settings file") from error
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def auto_or_integer(text: str) -> str | int:
    """The type of an argument that is "auto" or a whole number."""
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"auto or a whole number, not {text!r}") from None
