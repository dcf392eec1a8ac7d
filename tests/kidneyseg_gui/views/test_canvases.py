from __future__ import annotations

import sys
from types import ModuleType

import pytest
from PySide6.QtGui import QGuiApplication

from kidneyseg_gui.views import canvases
from kidneyseg_gui.views.canvases import OFFSCREEN, PYVISTAQT, Choice, choose


@pytest.mark.parametrize(
    ("platform", "wish", "software", "canvas"),
    [
        ("xcb", "", False, PYVISTAQT),
        ("xcb", "", True, OFFSCREEN),
        ("xcb", "pyvistaqt", True, PYVISTAQT),
        ("xcb", "Offscreen ", False, OFFSCREEN),
        ("xcb", "something", True, OFFSCREEN),
        ("offscreen", "pyvistaqt", False, OFFSCREEN),  # pyvistaqt's widget would end the process there
    ],
)
def test_the_canvas_fits_the_graphics_and_the_users_wish(
    monkeypatch: pytest.MonkeyPatch, platform: str, wish: str, software: bool, canvas: str
):
    for name in ("interactor_canvas", "offscreen_canvas"):
        monkeypatch.setitem(sys.modules, f"kidneyseg_gui.views.{name}", ModuleType(name))
    monkeypatch.setattr(QGuiApplication, "platformName", lambda: platform)
    monkeypatch.setattr(canvases, "_renders_in_software", lambda: software)
    monkeypatch.setenv("KIDNEYSEG_3D", wish)
    assert choose() == Choice(canvas, software)
