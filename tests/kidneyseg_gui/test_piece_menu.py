"""One click on a connected piece."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from kidneyseg.editing import pieces
from kidneyseg_gui.piece_menu import show_piece_menu
from kidneyseg_gui.tools import Tool
from window_fixture import WindowFixture

TUMOUR, KIDNEY, NOTHING = (34, 18, 14), (13, 16, 12), (24, 30, 12)


@pytest.fixture
def opened(window: WindowFixture) -> WindowFixture:
    window.open()
    window.segment()
    return window


def menu_at(window: WindowFixture, voxel: tuple[int, int, int]) -> QMenu:
    menu = show_piece_menu(window.case, voxel, QPoint(0, 0), window.main)
    assert menu is not None
    menu.hide()
    return menu


def choose(window: WindowFixture, voxel: tuple[int, int, int], text: str) -> None:
    steps = window.case.edits.stack.index()
    next(action for action in menu_at(window, voxel).actions() if action.text() == text).trigger()
    window.qtbot.waitUntil(lambda: window.case.edits.stack.index() > steps, timeout=5000)


def test_a_piece_is_deleted_relabelled_or_kept_alone(opened: WindowFixture):
    case = opened.case
    before = case.mask.copy()
    choose(opened, TUMOUR, "Make it cyst")
    np.testing.assert_array_equal(case.mask == 3, before == 2)
    choose(opened, KIDNEY, "Keep only this kidney")
    only = pieces.keep_only_piece(case.volume, before, KIDNEY)
    assert len(only) > 100
    assert not (case.mask.reshape(-1, order="F")[only.index] == 1).any()
    choose(opened, KIDNEY, "Delete this kidney")
    assert case.mask[KIDNEY] == 0
    for _ in range(3):
        case.edits.undo()
    np.testing.assert_array_equal(case.mask, before)


@pytest.mark.parametrize(("text", "grows"), [("Grow it by 2 mm", True), ("Shrink it by 2 mm", False)])
def test_a_piece_grows_and_shrinks(opened: WindowFixture, text: str, grows: bool):
    count = opened.case.edits.mask.count[2]
    choose(opened, TUMOUR, text)
    assert (opened.case.edits.mask.count[2] > count) == grows


def test_del_deletes_the_piece_under_the_mouse(opened: WindowFixture):
    case, view = opened.case, opened.main.quad.slices[0].slices
    case.set_crosshair(TUMOUR)
    place = view.position_of(TUMOUR)
    none, button = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.NoButton
    move = QMouseEvent(QEvent.Type.MouseMove, place, view.mapToGlobal(place), button, button, none)
    QApplication.sendEvent(view, move)  # without the window system, which may have the mouse elsewhere
    assert case.pointed == TUMOUR
    assert opened.main.actions_.edit.delete.shortcut().toString() == "Del"
    opened.main.actions_.edit.delete.trigger()
    opened.qtbot.waitUntil(lambda: case.edits.stack.undoText() == "Delete tumour", timeout=5000)
    assert not (case.mask == 2).any()


def test_nothing_offers_what_may_be_missing_there(opened: WindowFixture):
    clicks = []
    opened.case.click_requested.disconnect()
    opened.case.click_requested.connect(lambda voxel, label: clicks.append((voxel, label)))
    actions = menu_at(opened, NOTHING).actions()
    assert actions[0].text() == "There is an unmarked tumour here"
    actions[0].trigger()
    assert clicks == [(NOTHING, 2)]
    assert opened.case.tool.tool == Tool.CLICK


def test_the_menu_opens_by_a_right_click_but_not_by_a_zoom(opened: WindowFixture):
    view, asked = opened.main.quad.slices[0].slices, []
    view.menu_requested.disconnect()
    view.menu_requested.connect(lambda voxel, at: asked.append(voxel))
    opened.case.set_crosshair(TUMOUR)
    place, right, none = view.position_of(TUMOUR).toPoint(), Qt.MouseButton.RightButton, Qt.KeyboardModifier.NoModifier
    QTest.mouseClick(view, right, none, place)
    assert asked == [TUMOUR]
    QTest.mousePress(view, right, none, place)
    QTest.mouseMove(view, place + QPoint(0, 30))
    QTest.mouseRelease(view, right, none, place + QPoint(0, 30))
    assert asked == [TUMOUR]


def test_outside_the_ct_there_is_no_menu(opened: WindowFixture):
    assert show_piece_menu(opened.case, None, QPoint(0, 0), opened.main) is None
