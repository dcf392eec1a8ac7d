"""What is kept between runs: how things are looked at, settings, recent files, the window's place."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSettings

from kidneyseg.errors import SettingsError
from kidneyseg.settings import Settings, preset
from kidneyseg_gui.case import Case, Overlay

log = logging.getLogger(__name__)
_MOST_RECENT = 8


class Options:
    """Reads and writes a QSettings store; values that do not fit this version are passed over."""

    def __init__(self, store: QSettings) -> None:
        self._store = store

    def restore(self, case: Case) -> None:
        """Give the case what was kept of the last run."""
        for key, apply in (
            ("window", lambda v: case.set_window(float(v[0]), float(v[1]))),
            ("overlay", lambda v: case.set_overlay(_overlay_of(v, case.overlay))),
            (
                "display",
                lambda v: case.set_display(radiological=bool(v["radiological"]), crosshair=bool(v["crosshair"])),
            ),
            ("settings", lambda v: case.set_settings(preset(v["preset"]).with_(**v["changes"]))),
            ("device", lambda v: case.set_device(v if v in ("auto", "cpu", "cuda") else "auto")),
        ):
            text = self._store.value(f"case/{key}")
            if not isinstance(text, str):
                continue
            try:
                apply(json.loads(text))
            except (ValueError, KeyError, TypeError, IndexError, SettingsError):
                log.warning("kept value of %s does not fit this version", key)

    def keep(self, case: Case) -> None:
        """Keep what the next run should start with."""
        for key, value in (
            ("window", case.window),
            ("overlay", asdict(case.overlay)),
            ("display", asdict(case.display)),
            ("settings", {"preset": case.settings.method, "changes": _changes(case.settings)}),
            ("device", case.device),
        ):
            self._store.setValue(f"case/{key}", json.dumps(value))
        self._store.sync()

    @property
    def recent(self) -> list[Path]:
        """The files opened last, newest first."""
        try:
            return [Path(text) for text in json.loads(str(self._store.value("recent", "[]")))]
        except (ValueError, TypeError):
            return []

    def remember(self, path: Path) -> None:
        """Put a file on top of the recent ones."""
        paths = [path, *(other for other in self.recent if other != path)][:_MOST_RECENT]
        self._store.setValue("recent", json.dumps([str(p) for p in paths]))

    def forget(self, path: Path | None = None) -> None:
        """Take one file, or all, off the recent ones."""
        paths = [] if path is None else [other for other in self.recent if other != path]
        self._store.setValue("recent", json.dumps([str(p) for p in paths]))

    def value(self, key: str) -> Any:
        """A kept value of the window itself (its geometry)."""
        return self._store.value(key)

    def set_value(self, key: str, value: Any) -> None:
        """Keep a value of the window itself."""
        self._store.setValue(key, value)


def _changes(settings: Settings) -> dict[str, dict[str, Any]]:
    """What was set otherwise than the preset has it: all else follows the preset when a new version changes it."""
    mine, base = settings.to_dict(), preset(settings.method).to_dict()
    rooms = {name: values for name, values in mine.items() if isinstance(values, dict)}
    changed = {room: {k: v for k, v in values.items() if v != base[room][k]} for room, values in rooms.items()}
    return {room: values for room, values in changed.items() if values}


def _overlay_of(values: dict[str, Any], base: Overlay) -> Overlay:
    overlay = replace(
        base,
        opacity=min(max(float(values["opacity"]), 0.0), 1.0),
        outlined=bool(values["outlined"]),
        filled=bool(values["filled"]),
    )
    for label, style in values["labels"]:
        red, green, blue = (min(max(int(v), 0), 255) for v in style["colour"])
        overlay = overlay.with_label(int(label), colour=(red, green, blue), visible=bool(style["visible"]))
    return overlay
