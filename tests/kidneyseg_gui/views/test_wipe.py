"""The wipe between two compared masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fakes import make_volume
from kidneyseg.editing import EditedMask
from kidneyseg.editing.compare import compare
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg_gui.case import Case
from kidneyseg_gui.comparing import Compare, Shown
from kidneyseg_gui.edits import Origin
from kidneyseg_gui.slices import AXIAL
from kidneyseg_gui.tools import Tool
from kidneyseg_gui.views.slice_view import SliceView

LEFT = Qt.MouseButton.LeftButton
NEAR_LEFT, NEAR_RIGHT = (44, 20, 12), (4, 20, 12)  # x grows to the left of the screen


@pytest.fixture
def case(qtbot: QtBot) -> Case:
    """Ours is kidney everywhere, the other one tumour; the wipe is shown."""
    made = Case()
    made.open(make_volume())
    ours, other = (np.full(made.volume.shape, label, np.uint8, order="F") for label in (KIDNEY, TUMOUR))
    made.edits.start_from(EditedMask(ours), Origin())
    made.set_display(crosshair=False)
    made.set_overlay(replace(made.overlay, opacity=1.0, outlined=False))
    made.set_compare(Compare("b", other, compare(ours, other, made.volume)))
    made.show_next_compared(wipe=True)
    return made


@pytest.fixture
def view(case: Case, qtbot: QtBot) -> SliceView:
    made = SliceView(case, AXIAL)
    qtbot.addWidget(made)
    made.resize(480, 400)
    return made


def labels_at(view: SliceView, case: Case) -> tuple[int, int]:
    """The labels whose colours are drawn near the view's left and right edge."""
    image = view.grab().toImage()
    label_of = {QColor(*case.overlay.style(label).colour).rgb(): label for label in (KIDNEY, TUMOUR)}
    near_left, near_right = (image.pixelColor(view.position_of(at).toPoint()) for at in (NEAR_LEFT, NEAR_RIGHT))
    return label_of[near_left.rgb()], label_of[near_right.rgb()]


def move(view: SliceView, x: int, held: Qt.MouseButton = Qt.MouseButton.NoButton) -> None:
    at = QPointF(x, 100)
    moved = QMouseEvent(
        QEvent.Type.MouseMove, at, view.mapToGlobal(at), Qt.MouseButton.NoButton, held, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(view, moved)


def drag_line(view: SliceView, start: int, end: int) -> None:
    QTest.mousePress(view, LEFT, pos=QPoint(start, 100))
    for x in ((start + end) // 2, end):
        move(view, x, LEFT)
    QTest.mouseRelease(view, LEFT, pos=QPoint(end, 100))


def test_this_mask_is_left_of_the_line_and_the_other_right_of_it(case: Case, view: SliceView):
    assert labels_at(view, case) == (KIDNEY, TUMOUR)
    case.show_next_compared()
    assert case.compare.shown == Shown.OURS
    assert labels_at(view, case) == (KIDNEY, KIDNEY)
    case.show_next_compared()
    assert labels_at(view, case) == (TUMOUR, TUMOUR)


@pytest.mark.parametrize("tool", [Tool.POINTER, Tool.BRUSH])
def test_the_line_is_dragged_whatever_the_tool_and_nothing_else_happens(case: Case, view: SliceView, tool: Tool):
    case.set_tool(tool=tool)
    window, crosshair = case.window, case.crosshair
    drag_line(view, 240, 478)
    assert labels_at(view, case) == (KIDNEY, KIDNEY)
    drag_line(view, 478, 2)
    assert labels_at(view, case) == (TUMOUR, TUMOUR)
    assert (case.window, case.crosshair) == (window, crosshair)
    assert case.edits.stack.count() == 0


def test_beside_the_line_the_tool_works(case: Case, view: SliceView):
    QTest.mouseClick(view, LEFT, pos=view.position_of((40, 20, 12)).toPoint())
    assert case.crosshair == (40, 20, 12)


def test_the_mouse_shows_where_the_line_can_be_dragged(case: Case, view: SliceView):
    for x, shape in ((240, Qt.CursorShape.SplitHCursor), (100, Qt.CursorShape.CrossCursor)):
        move(view, x)
        assert view.cursor().shape() == shape


def test_what_is_hidden_has_no_line(case: Case, view: SliceView):
    case.toggle_overlay()
    before = case.crosshair
    QTest.mouseClick(view, LEFT, pos=QPoint(240, 100))
    assert case.crosshair != before


def test_the_wipe_ends_with_the_differences(case: Case):
    case.show_next_compared(wipe=True)
    assert case.compare.shown == Shown.DIFFERENCE
    assert "Green is only here" in case.compare.text


def test_the_sentence_says_which_mask_is_where(case: Case):
    assert case.compare.text.startswith("This mask left of the line, b right of it")
