"""How the program looks: the dark palette, the style sheet and the icons from assets/."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PySide6.QtGui import QColor, QIcon, QPalette
from PySide6.QtWidgets import QApplication

ASSETS = Path(__file__).resolve().parent.parent / "assets"
ACCENT = "#4c9be8"


@cache
def icon(name: str) -> QIcon:
    """The icon assets/icons/<name>.svg; empty where the assets are not installed."""
    return QIcon(str(ASSETS / "icons" / f"{name}.svg"))


def dress(application: QApplication) -> None:
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
    sheet = ASSETS / "style.qss"
    if sheet.is_file():
        text = sheet.read_text(encoding="utf-8")
        application.setStyleSheet(text.replace("@icons", (ASSETS / "icons").as_posix()).replace("@accent", ACCENT))
    application.setWindowIcon(icon("kidneyseg"))
