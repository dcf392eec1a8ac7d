"""What stands in the window's way, in a sentence."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

import pytest

from kidneyseg_gui import __main__
from kidneyseg_gui.preflight import obstacle

SCREEN = {"DISPLAY": ":7"}


class Broken(MetaPathFinder):
    """Importing Qt fails with this message."""

    def __init__(self, message: str) -> None:
        self.message = message

    def find_spec(self, name: str, *_: object) -> None:
        if name == "PySide6.QtWidgets":
            raise ImportError(self.message)


def broken(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    monkeypatch.delitem(sys.modules, "PySide6.QtWidgets", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(message), *sys.meta_path])


def test_nothing_stands_in_the_way_here():
    for screen in (SCREEN, {"WAYLAND_DISPLAY": "wayland-0"}, {"QT_QPA_PLATFORM": "offscreen"}):
        assert obstacle(screen) is None


def test_without_a_display(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert __main__.main([]) == 1
    assert capsys.readouterr().err.startswith("kidneyseg-gui: no display was found")


@pytest.mark.parametrize(
    ("library", "says"),
    [
        ("libGL.so.1", "libGL.so.1 is missing on this system; install it: sudo apt-get install libgl1"),
        ("libodd.so.3", "install it"),
    ],
)
def test_without_a_library(monkeypatch: pytest.MonkeyPatch, library: str, says: str):
    broken(monkeypatch, f"{library}: cannot open shared object file: No such file or directory")
    told = obstacle(SCREEN)
    assert told is not None
    assert told.endswith(says)


def test_other_failures_are_not_hidden(monkeypatch: pytest.MonkeyPatch):
    broken(monkeypatch, "undefined symbol: _Z3odd")
    with pytest.raises(ImportError, match="odd"):
        obstacle(SCREEN)
