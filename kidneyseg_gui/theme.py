"""The dark theme: palette, style sheet and icons."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from PySide6.QtGui import QColor, QIcon, QPalette
from PySide6.QtWidgets import QApplication

ACCENT = "#4c9be8"


@cache
def assets() -> Path:
    """The folder of the package `kidneyseg_gui.assets`."""
    try:
        return Path(str(resources.files("kidneyseg_gui.assets")))
    except ModuleNotFoundError:  # a checkout that is used without being installed
        return Path(__file__).resolve().parents[1] / "assets"


@cache
def icon(name: str) -> QIcon:
    """The icon icons/<name>.svg of the assets. Raises FileNotFoundError where there is none."""
    path = assets() / "icons" / f"{name}.svg"
    if not path.is_file():
        raise FileNotFoundError(path)
    return QIcon(str(path))


def apply_theme(application: QApplication) -> None:
    """Give the application the dark theme."""
    application.setStyle("Fusion")
    palette = QPalette()
    for role, colour in (
        (QPalette.ColorRole.Window, "#1f2329"),
        (QPalette.ColorRole.WindowText, "#d8dde3"),
        (QPalette.ColorRole.Base, "#171a1f"),
        (QPalette.ColorRole.AlternateBase, "#1c2026"),
        (QPalette.ColorRole.Text, "#d8dde3"),
        (QPalette.ColorRole.Button, "#2a3038"),
        (QPalette.ColorRole.ButtonText, "#d8dde3"),
        (QPalette.ColorRole.BrightText, "#ffffff"),
        (QPalette.ColorRole.ToolTipBase, "#2f3640"),
        (QPalette.ColorRole.ToolTipText, "#e4e8ed"),
        (QPalette.ColorRole.PlaceholderText, "#7d8793"),
        (QPalette.ColorRole.Highlight, ACCENT),
        (QPalette.ColorRole.HighlightedText, "#0d1116"),
        (QPalette.ColorRole.Link, ACCENT),
    ):
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor("#69737f"))
    application.setPalette(palette)
    sheet = (assets() / "style.qss").read_text(encoding="utf-8")
    application.setStyleSheet(sheet.replace("@icons", (assets() / "icons").as_posix()).replace("@accent", ACCENT))
    application.setWindowIcon(icon("kidneyseg"))
