from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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


def test_the_key_0_takes_the_window_that_the_ct_states(window: WindowFixture):
    view, own = window.main.quad.slices[0].slices, window.main.actions_.own_window
    window.open()
    assert not own.isEnabled()
    window.qtbot.keyClick(view, Qt.Key.Key_0)
    assert window.case.window == (350, 40)
    window.fake.volumes["second.nii.gz"] = replace(window.case.volume, window=(361.0, 57.0))
    window.open("second.nii.gz")
    assert own.text() == "The CT's own   W 361  L 57"
    window.qtbot.keyClick(view, Qt.Key.Key_0)
    assert window.case.window == (361, 57)
    assert own.isChecked()
    window.qtbot.keyClick(view, Qt.Key.Key_1)
    assert not own.isChecked()


def test_keys_choose_the_3d_view_and_show_its_points_on_the_slices(window: WindowFixture):
    actions, view = window.main.actions_, window.main.quad.slices[0].slices
    window.open()
    assert [name for name, action in actions.clouds.items() if action.isEnabled()] == ["deck"]
    assert not actions.points.isEnabled()
    window.segment()
    for key, name in zip("123456", ("deck", "sampled", "detected", "classes", "objects", "surface"), strict=True):
        window.qtbot.keyClick(view, key, Qt.KeyboardModifier.ControlModifier)
        assert window.case.display.cloud == name
        assert [one for one, action in actions.clouds.items() if action.isChecked()] == [name]
        assert window.main.quad.cloud.buttons[name].isChecked()
    window.qtbot.keyClick(view, Qt.Key.Key_N)
    assert window.case.display.points
    assert actions.points.isChecked()
    assert window.main.labels.points.isChecked()
    window.main.labels.points.click()
    assert not window.case.display.points
    assert not actions.points.isChecked()
