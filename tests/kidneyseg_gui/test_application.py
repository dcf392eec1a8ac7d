from __future__ import annotations

import pytest

from kidneyseg_gui import application
from kidneyseg_gui.application import _build_cloud, _CloudLoader
from kidneyseg_gui.views import canvases
from kidneyseg_gui.views.canvases import OFFSCREEN, Choice
from window_fixture import WindowFixture


def fail(*_args: object) -> None:
    raise RuntimeError("no OpenGL")


def test_the_canvas_is_chosen_in_a_thread(window: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    choice = Choice(OFFSCREEN, software=True)
    monkeypatch.setattr(canvases, "choose", lambda: choice)
    loader = _CloudLoader()
    with window.qtbot.waitSignal(loader.loaded, timeout=20000) as signal:
        loader.start()
    assert signal.args == [choice]


def test_without_a_canvas_the_loader_says_so(window: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canvases, "choose", fail)
    loader = _CloudLoader()
    loader.loaded.connect(lambda choice: _build_cloud(window.main, choice))
    with window.qtbot.waitSignal(loader.loaded, timeout=20000):
        loader.start()
    assert window.main.quad.cloud._notice.text() == application._NO_3D


def test_a_canvas_that_cannot_be_built_leaves_a_notice(window: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(canvases, "make", fail)
    _build_cloud(window.main, Choice(OFFSCREEN, software=True))
    assert window.main.quad.cloud._notice.text() == application._NO_3D
    window.open()  # everything else works
