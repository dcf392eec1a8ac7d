"""What the window remembers between runs: display options, settings, recent files, its geometry."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSettings

from kidneyseg.errors import SettingsError
from kidneyseg.settings import Settings, preset
from kidneyseg_gui.case import Case
from kidneyseg_gui.display import Overlay

log = logging.getLogger(__name__)
_MOST_RECENT = 8


class Options:
    """Reads and writes a QSettings store. Values that do not fit this version are ignored."""

    def __init__(self, store: QSettings) -> None:
        self.store = store

    def restore(self, case: Case) -> None:
        """Set the case to what the last run saved."""
        setters: dict[str, Callable[[Any], None]] = {
            "window": lambda v: case.set_window(float(v[0]), float(v[1])),
            "overlay": lambda v: case.set_overlay(_overlay_of(v, case.overlay)),
            "display": lambda v: case.set_display(
                radiological=bool(v["radiological"]), crosshair=bool(v["crosshair"]), patient=bool(v.get("patient"))
            ),
            "settings": lambda v: case.set_settings(preset(v["preset"]).with_(**v["changes"])),
            "device": lambda v: case.set_device(v if v in ("auto", "cpu", "cuda") else "auto"),
        }
        for key, apply in setters.items():
            text = self.store.value(f"case/{key}")
            if not isinstance(text, str):
                continue
            try:
                apply(json.loads(text))
            except (ValueError, KeyError, TypeError, IndexError, SettingsError):
                log.warning("the saved value of %s does not fit this version", key)

    def save(self, case: Case) -> None:
        """Save what the next run starts with."""
        for key, value in (
            ("window", case.window),
            ("overlay", _kept_of(case.overlay)),
            ("display", asdict(case.display)),
            ("settings", {"preset": case.settings.method, "changes": _changes(case.settings)}),
            ("device", case.device),
        ):
            self.store.setValue(f"case/{key}", json.dumps(value))
        self.store.sync()

    @property
    def recent(self) -> list[Path]:
        """The files that were opened last, newest first."""
        try:
            return [Path(text) for text in json.loads(str(self.store.value("recent", "[]")))]
        except (ValueError, TypeError):
            return []

    def remember(self, path: Path) -> None:
        """Put a file on top of the recent files."""
        paths = [path, *(other for other in self.recent if other != path)][:_MOST_RECENT]
        self.store.setValue("recent", json.dumps([str(p) for p in paths]))

    def forget(self, path: Path | None = None) -> None:
        """Remove one file, or all, from the recent files."""
        paths = [] if path is None else [other for other in self.recent if other != path]
        self.store.setValue("recent", json.dumps([str(p) for p in paths]))


def _changes(settings: Settings) -> dict[str, dict[str, Any]]:
    """The values that differ from the preset's; all others follow the preset when a new version changes it."""
    mine, base = settings.to_dict(), preset(settings.method).to_dict()
    groups = {name: values for name, values in mine.items() if isinstance(values, dict)}
    changed = {name: {k: v for k, v in values.items() if v != base[name][k]} for name, values in groups.items()}
    return {name: values for name, values in changed.items() if values}


def _kept_of(overlay: Overlay) -> dict[str, Any]:
    """An overlay without what is hidden: that belongs to the open case, and the next one must not lack a label."""
    styles = [(label, {"colour": style.colour}) for label, style in overlay.labels]
    return {"opacity": overlay.opacity, "outlined": overlay.outlined, "filled": overlay.filled, "labels": styles}


def _overlay_of(values: dict[str, Any], base: Overlay) -> Overlay:
    overlay = replace(
        base,
        opacity=min(max(float(values["opacity"]), 0.0), 1.0),
        outlined=bool(values["outlined"]),
        filled=bool(values["filled"]),
    )
    for label, style in values["labels"]:
        red, green, blue = (min(max(int(v), 0), 255) for v in style["colour"])
        overlay = overlay.with_label(int(label), colour=(red, green, blue))
    return overlay
