from __future__ import annotations

from collections.abc import Callable

from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_the_3d_pane_follows_its_buttons_and_the_labels(window: WindowFixture):
    window.open()
    window.segment()
    window.main.quad.cloud.buttons["objects"].click()
    assert window.cloud.shown[1] == "objects"
    assert set(window.cloud.shown[0].clouds["objects"]) == {1, 2}
    window.case.set_overlay(window.case.overlay.with_label(2, visible=False))
    assert 2 not in window.cloud.shown[2]
    window.case.set_crosshair((1, 2, 3))
    window.qtbot.waitUntil(lambda: window.cloud.crosshair == (3.0, 5.0, 17.5), timeout=1000)
