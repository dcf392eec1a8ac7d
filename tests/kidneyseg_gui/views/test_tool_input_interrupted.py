"""Gestures that something else interrupts: other buttons, dialogs, keys, other slices, another CT."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from kidneyseg_gui.tools import Tool
from kidneyseg_gui.views.slice_view import SliceView
from window_fixture import WindowFixture

LEFT, RIGHT, NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.NoButton
START, NEXT, FAR = (34, 18, 12), (32, 18, 12), (20, 30, 12)
CORNERS = [(30, 10, 12), (40, 10, 12), (40, 20, 12), (30, 20, 12)]


@pytest.fixture
def view(window: WindowFixture) -> SliceView:
    window.open()
    window.segment()
    window.case.set_crosshair(START)
    window.case.set_tool(tool=Tool.BRUSH, radius_mm=4.0)
    return window.main.quad.slices[0].slices


def send(view: SliceView, kind: QEvent.Type, voxel: tuple[int, int, int], button: Qt.MouseButton = NO_BUTTON, *, held):
    at = view.position_of(voxel)
    QApplication.sendEvent(
        view, QMouseEvent(kind, at, view.mapToGlobal(at), button, held, Qt.KeyboardModifier.NoModifier)
    )


def press(view: SliceView, voxel: tuple[int, int, int], button: Qt.MouseButton = LEFT) -> None:
    send(view, QEvent.Type.MouseButtonPress, voxel, button, held=button)


def move(view: SliceView, voxel: tuple[int, int, int], held: Qt.MouseButton = LEFT) -> None:
    send(view, QEvent.Type.MouseMove, voxel, held=held)


def release(view: SliceView, voxel: tuple[int, int, int], button: Qt.MouseButton = LEFT) -> None:
    send(view, QEvent.Type.MouseButtonRelease, voxel, button, held=NO_BUTTON)


def turn_wheel(view: SliceView, steps: int, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    at = QPointF(view.width() / 2, view.height() / 2)
    event = QWheelEvent(
        at, at, QPoint(), QPoint(0, 120 * steps), NO_BUTTON, modifiers, Qt.ScrollPhase.NoScrollPhase, False
    )
    QApplication.sendEvent(view, event)


def click_corners(view: SliceView) -> None:
    for corner in CORNERS:
        press(view, corner)
        release(view, corner)


def test_the_right_button_opens_no_menu_in_a_stroke(view: SliceView):
    asked = []
    view.menu_requested.connect(lambda *_: asked.append(1))
    press(view, START)
    press(view, NEXT, RIGHT)
    release(view, NEXT, RIGHT)
    assert not asked
    assert view.tool.drawing


def test_a_stroke_whose_end_a_dialog_has_taken_ends_there(view: SliceView):
    press(view, START)
    move(view, NEXT)
    painted = view._case.mask.copy()
    move(view, FAR, held=NO_BUTTON)  # the button was released over the dialog
    np.testing.assert_array_equal(view._case.mask, painted)
    assert view._case.edits.stack.undoText() == "Paint tumour"


def test_another_size_in_a_stroke_goes_on_with_it(view: SliceView):
    press(view, START)
    move(view, NEXT)
    turn_wheel(view, 1, Qt.KeyboardModifier.ControlModifier)
    window, count = view._case.window, view._case.edits.stack.count()
    move(view, FAR)
    release(view, FAR)
    assert view._case.mask[FAR] == 2
    assert view._case.window == window
    assert view._case.edits.stack.count() == count + 1


@pytest.mark.parametrize("tool", [Tool.ERASER, Tool.POINTER])
def test_another_tool_in_a_stroke_ends_the_drag(view: SliceView, tool: Tool):
    press(view, START)
    view._case.set_tool(tool=tool)
    window, mask, crosshair = view._case.window, view._case.mask.copy(), view._case.crosshair
    move(view, FAR)
    release(view, FAR)
    assert view._case.window == window
    assert view._case.crosshair == crosshair
    np.testing.assert_array_equal(view._case.mask, mask)


def test_a_lasso_fills_no_other_slice_than_the_one_it_was_drawn_on(view: SliceView):
    view._case.set_tool(tool=Tool.LASSO)
    before = view._case.mask.copy()
    press(view, CORNERS[0])
    for corner in CORNERS[1:]:
        move(view, corner)
    turn_wheel(view, 1)
    release(view, CORNERS[-1])
    np.testing.assert_array_equal(view._case.mask, before)


def test_a_polygon_waits_on_its_slice(view: SliceView):
    view._case.set_tool(tool=Tool.LASSO)
    before = view._case.mask.copy()
    click_corners(view)
    turn_wheel(view, 1)
    QTest.keyClick(view, Qt.Key.Key_Return)
    np.testing.assert_array_equal(view._case.mask, before)
    turn_wheel(view, -1)
    QTest.keyClick(view, Qt.Key.Key_Return)
    changed = np.argwhere(view._case.mask != before)
    assert len(changed)
    assert set(changed[:, 2]) == {12}


def test_escape_gives_a_polygon_up(view: SliceView):
    view._case.set_tool(tool=Tool.LASSO)
    before = view._case.mask.copy()
    click_corners(view)
    QTest.keyClick(view, Qt.Key.Key_Escape)
    QTest.keyClick(view, Qt.Key.Key_Return)
    np.testing.assert_array_equal(view._case.mask, before)


def test_another_ct_takes_no_part_of_a_gesture(view: SliceView):
    press(view, START)
    view._case.open(view._case.volume)
    move(view, FAR)
    release(view, FAR)
    assert view._case.mask is None


def test_what_is_under_the_mouse_follows_the_wheel(view: SliceView):
    move(view, START, held=NO_BUTTON)
    assert view._case.pointed == START
    turn_wheel(view, 1)
    assert view._case.pointed == (*START[:2], START[2] + 1)
