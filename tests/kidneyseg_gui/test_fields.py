from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QScrollArea, QWidget

from window_fixture import WindowFixture


@pytest.fixture
def active(window: WindowFixture) -> WindowFixture:
    """An active window, as only such a one has a focus."""
    with window.qtbot.waitActive(window.main):
        window.main.activateWindow()
    window.open()
    return window


def type_into(window: WindowFixture, field: QWidget, text: str) -> None:
    field.setFocus()
    field.selectAll()
    window.qtbot.keyClicks(field, text)


def enter(widget: QWidget) -> None:
    at = QPointF(10, 10)
    QApplication.sendEvent(widget, QEnterEvent(at, at, widget.mapToGlobal(at)))


def press(window: WindowFixture, *keys: Qt.Key) -> None:
    for key in keys:
        window.qtbot.keyClick(QApplication.focusWidget(), key)


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab])
def test_a_committed_value_gives_the_keys_back_to_the_view_used_last(active: WindowFixture, key: Qt.Key):
    coronal = active.main.quad.slices[1].slices
    coronal.setFocus()
    type_into(active, active.main.parameters.eps, "7")
    press(active, key)
    assert QApplication.focusWidget() is coronal
    assert active.case.settings.clusters.eps_mm == 7.0
    before = active.case.crosshair[1]
    press(active, Qt.Key.Key_PageDown, Qt.Key.Key_6)
    assert active.case.crosshair[1] == before - 10
    assert active.case.window == (1500, 300)
    assert active.case.settings.clusters.eps_mm == 7.0


def test_entering_a_view_takes_the_keys_and_what_was_typed(active: WindowFixture):
    for view, text in ((active.main.quad.slices[2].slices, "8"), (active.main.quad.cloud._backend.widget, "9")):
        type_into(active, active.main.parameters.eps, text)
        assert active.case.settings.clusters.eps_mm != float(text)
        enter(view)
        assert QApplication.focusWidget() is active.main.quad.slices[2].slices
        assert active.case.settings.clusters.eps_mm == float(text)


def test_tab_moves_on_from_a_field_that_was_not_changed(active: WindowFixture):
    panel = active.main.parameters
    panel.eps.setFocus()
    press(active, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is panel.share


def test_without_a_visible_slice_the_keys_go_to_the_window(active: WindowFixture):
    active.case.set_display(maximised="3D")
    type_into(active, active.main.parameters.eps, "7")
    press(active, Qt.Key.Key_Return, Qt.Key.Key_6)
    assert active.case.settings.clusters.eps_mm == 7.0
    assert active.case.window == (1500, 300)


def turn_wheel(window: WindowFixture, field: QWidget) -> None:
    """As the window system does it: only such an event passes on to the parents of a widget that ignores it."""
    at = field.mapTo(window.main, field.rect().center())
    QTest.wheelEvent(window.main.windowHandle(), at, QPoint(0, -120))


def test_the_wheel_over_unfocused_fields_scrolls_the_panel_and_changes_nothing(active: WindowFixture):
    panel, case = active.main.parameters, active.case
    active.main.quad.slices[0].slices.setFocus()
    active.main.resize(active.main.width(), active.main.minimumSizeHint().height())
    area = next(area for area in active.main.findChildren(QScrollArea) if area.isAncestorOf(panel))
    bar = area.verticalScrollBar()
    active.qtbot.waitUntil(lambda: bar.maximum() > 0, timeout=1000)
    before = (case.settings, case.device, case.overlay)
    fields = (panel.preset, panel.kept_slider, panel.kept, panel.eps, panel.fill, panel.closing, panel.device)
    for field in (*fields, active.main.labels.opacity):
        area.ensureWidgetVisible(field)
        bar.setValue(bar.value() - (bar.value() == bar.maximum()))
        before_wheel = bar.value()
        turn_wheel(active, field)
        assert bar.value() > before_wheel, field
    assert (case.settings, case.device, case.overlay) == before
    assert QApplication.focusWidget() is active.main.quad.slices[0].slices


def test_the_wheel_works_on_the_field_that_has_the_focus(active: WindowFixture):
    panel = active.main.parameters
    area = next(area for area in active.main.findChildren(QScrollArea) if area.isAncestorOf(panel))
    area.ensureWidgetVisible(panel.eps)
    panel.eps.setFocus()
    before = panel.eps.value()
    turn_wheel(active, panel.eps)
    assert panel.eps.value() == before - 0.5


def test_choosing_from_a_list_and_dragging_a_slider_give_the_keys_back(active: WindowFixture):
    panel, axial = active.main.parameters, active.main.quad.slices[0].slices
    for field, commit in (
        (panel.fill, lambda: panel.fill.activated.emit(1)),
        (panel.kept_slider, panel.kept_slider.sliderReleased.emit),
    ):
        field.setFocus()
        commit()
        assert QApplication.focusWidget() is axial
