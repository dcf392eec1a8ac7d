from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt

from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_keys_set_window_overlay_and_layout(window: WindowFixture):
    window.open()
    for key, check in (
        (Qt.Key.Key_6, lambda: window.case.window == (1500, 300)),
        (Qt.Key.Key_O, lambda: not window.case.overlay.shown),
        (Qt.Key.Key_X, lambda: not window.case.display.crosshair),
    ):
        window.qtbot.keyClick(window.main.quad.slices[0].slices, key)
        assert check()
