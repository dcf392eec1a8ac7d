"""Tools over a slice, by mouse and keys; what they do equals the engine's functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from kidneyseg.editing import EditedMask, brush, lasso, pieces
from kidneyseg_gui.tools import Tool
from kidneyseg_gui.views.slice_view import SliceView
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def opened(window: WindowFixture) -> WindowFixture:
    window.open()
    window.segment()
    window.case.set_crosshair((34, 18, 12))
    return window


def view_of(window: WindowFixture, plane: int = 0) -> SliceView:
    return window.main.quad.slices[plane].slices


def at(view: SliceView, voxel: tuple[int, int, int]) -> QPoint:
    return view.position_of(voxel).toPoint()


def drag(view: SliceView, voxels: list[tuple[int, int, int]]) -> list[np.ndarray]:
    """Drag over the centres of these voxels; returns where the mouse was, in voxel coordinates."""
    points = [at(view, voxel) for voxel in voxels]
    QTest.mousePress(view, LEFT, Qt.KeyboardModifier.NoModifier, points[0])
    for point in points[1:]:
        QTest.mouseMove(view, point)
    QTest.mouseRelease(view, LEFT, Qt.KeyboardModifier.NoModifier, points[-1])
    found = []
    for point in points:
        inverse = view.transform().inverted()[0].map(point.toPointF())
        here = np.array(view._case.crosshair, float)
        here[view.plane.column], here[view.plane.row] = inverse.x() - 0.5, inverse.y() - 0.5
        found.append(here)
    return found


@pytest.mark.parametrize("plane", [0, 1, 2])
@pytest.mark.parametrize("ball", [False, True])
@pytest.mark.parametrize("tool", [Tool.BRUSH, Tool.ERASER])
def test_a_stroke_paints_what_the_engine_paints_and_is_one_step(
    opened: WindowFixture, plane: int, ball: bool, tool: Tool
):
    case, view = opened.case, view_of(opened, plane)
    case.set_tool(tool=tool, radius_mm=9.0, ball=ball)
    expected, steps = EditedMask(case.mask), case.edits.stack.count()
    start = [34, 18, 14]
    start[view.plane.normal] = case.crosshair[view.plane.normal]
    path = [tuple(start)]
    for _ in range(3):
        moved = list(path[-1])
        moved[view.plane.column] -= 2
        path.append(tuple(moved))
    points = drag(view, path)
    gesture = brush.Brush(case.tool.painted_label, 9.0, None if ball else view.plane.normal)
    for first, second in [(0, 0), (0, 1), (1, 2), (2, 3)]:
        voxels = brush.paint(case.volume, expected.labels, gesture, np.array([points[first], points[second]]))
        expected.apply(expected.painted(voxels))
    np.testing.assert_array_equal(case.mask, expected.labels)
    assert case.edits.stack.count() == steps + 1
    case.edits.undo()
    assert not np.array_equal(case.mask, expected.labels)


def test_the_lasso_fills_what_it_goes_around(opened: WindowFixture):
    case, view = opened.case, view_of(opened)
    case.set_tool(tool=Tool.LASSO, label=3)
    before = case.mask.copy()
    points = drag(view, [(10, 10, 12), (20, 10, 12), (20, 18, 12), (10, 18, 12), (10, 10, 12)])
    outline = np.array([point[:2] for point in points])
    voxels = lasso.fill_polygon(case.volume, before, 2, 12, outline, 3)
    assert len(voxels) > 50
    np.testing.assert_array_equal(np.flatnonzero((case.mask == 3).reshape(-1, order="F")), voxels.index)


@pytest.mark.parametrize("closing", ["double-click", "return"])
def test_a_polygon_is_filled_once_it_is_closed(opened: WindowFixture, closing: str):
    case, view = opened.case, view_of(opened)
    case.set_tool(tool=Tool.LASSO, label=3)
    before = case.mask.copy()
    corners = [at(view, voxel) for voxel in ((10, 10, 12), (20, 10, 12), (15, 20, 12))]
    for corner in corners:
        QTest.mouseClick(view, LEFT, Qt.KeyboardModifier.NoModifier, corner)
    np.testing.assert_array_equal(case.mask, before)
    if closing == "return":
        QTest.keyClick(view, Qt.Key.Key_Return)
    else:
        QTest.mouseDClick(view, LEFT, Qt.KeyboardModifier.NoModifier, corners[-1])
    inverse = view.transform().inverted()[0]
    outline = np.array([(p.x() - 0.5, p.y() - 0.5) for p in (inverse.map(corner.toPointF()) for corner in corners)])
    voxels = lasso.fill_polygon(case.volume, before, 2, 12, outline, 3)
    assert len(voxels) > 30
    np.testing.assert_array_equal(np.flatnonzero((case.mask == 3).reshape(-1, order="F")), voxels.index)


def test_undo_takes_back_the_last_corner_of_a_polygon_and_then_edits(opened: WindowFixture):
    case, view = opened.case, view_of(opened)
    case.set_tool(tool=Tool.BRUSH, label=3)
    drag(view, [(30, 30, 12), (32, 30, 12)])
    case.set_tool(tool=Tool.LASSO)
    steps = case.edits.stack.index()
    for voxel in ((10, 10, 12), (20, 10, 12), (20, 18, 12), (40, 35, 12)):
        QTest.mouseClick(view, LEFT, Qt.KeyboardModifier.NoModifier, at(view, voxel))
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert case.edits.stack.index() == steps
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert case.mask[18, 11, 12] == 3
    assert case.mask[30, 25, 12] != 3  # between the third corner and the fourth, which was taken back
    QTest.keyClick(view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert case.mask[18, 11, 12] != 3
    assert case.edits.stack.index() == steps


def test_the_corners_of_a_polygon_and_the_next_side_are_drawn(opened: WindowFixture):
    case, view = opened.case, view_of(opened)
    case.set_tool(tool=Tool.LASSO, label=2)
    case.set_display(crosshair=False)
    before = view.grab().toImage()
    corner, pointer = at(view, (10, 34, 12)), at(view, (40, 34, 12))
    QTest.mouseClick(view, LEFT, Qt.KeyboardModifier.NoModifier, corner)
    # Sent to the view itself: without a button, the mouse's moves go to whatever lies under the system's pointer.
    none, place = Qt.MouseButton.NoButton, QPointF(pointer)
    moved = QMouseEvent(
        QEvent.Type.MouseMove, place, view.mapToGlobal(place), none, none, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(view, moved)
    after = view.grab().toImage()
    between = (corner + pointer) / 2
    assert after.pixelColor(between) != before.pixelColor(between)


@pytest.mark.parametrize(("label", "name"), [(1, "Piece to kidney"), (0, "Delete piece")])
def test_one_click_relabels_or_deletes_the_piece_under_the_mouse(opened: WindowFixture, label: int, name: str):
    case, view = opened.case, view_of(opened)
    tumour = (34, 18, 12)
    assert case.mask[tumour] == 2
    voxels = pieces.relabel_piece(case.volume, case.mask, tumour, label)
    case.set_tool(tool=Tool.PIECE, label=label)
    QTest.mouseClick(view, LEFT, Qt.KeyboardModifier.NoModifier, at(view, tumour))
    opened.qtbot.waitUntil(lambda: case.edits.stack.undoText() == name, timeout=5000)
    assert (case.mask.reshape(-1, order="F")[voxels.index] == label).all()
    assert not (case.mask == 2).any()


def test_the_threshold_ball_takes_the_window_where_no_range_is_set(opened: WindowFixture):
    case, view = opened.case, view_of(opened)
    case.set_window(40, 90)  # 70 ... 110 HU: the tumour alone
    case.set_tool(tool=Tool.THRESHOLD, label=3, radius_mm=40.0)
    QTest.mouseClick(view, LEFT, Qt.KeyboardModifier.NoModifier, at(view, (34, 18, 12)))
    opened.qtbot.waitUntil(lambda: case.edits.mask.count[3] > 0, timeout=5000)
    assert set(np.unique(case.volume.hu[case.mask == 3])) == {90}


def test_with_shift_the_left_button_moves_the_crosshair(opened: WindowFixture):
    case, view = opened.case, view_of(opened)
    case.set_tool(tool=Tool.BRUSH)
    before = case.mask.copy()
    QTest.mouseClick(view, LEFT, Qt.KeyboardModifier.ShiftModifier, at(view, (10, 10, 12)))
    assert case.crosshair == (10, 10, 12)
    np.testing.assert_array_equal(case.mask, before)


def test_keys_choose_tools_labels_and_size(opened: WindowFixture):
    case, window = opened.case, opened.main
    view_of(opened).setFocus()
    for key, tool in (("b", Tool.BRUSH), ("e", Tool.ERASER), ("l", Tool.LASSO), ("k", Tool.CLICK), ("v", Tool.POINTER)):
        QTest.keyClick(window, key)
        assert case.tool.tool == tool
    before = case.tool.radius_mm
    QTest.keyClick(window, "]")
    assert case.tool.radius_mm > before
    QTest.keyClick(window, Qt.Key.Key_1, Qt.KeyboardModifier.ShiftModifier)
    assert case.tool.label == 1
    assert case.window == (350.0, 40.0)  # not the window preset of the key 1


def test_another_tool_ends_a_stroke(opened: WindowFixture):
    case, view = opened.case, view_of(opened)
    case.set_tool(tool=Tool.BRUSH, radius_mm=9.0)
    QTest.mousePress(view, LEFT, Qt.KeyboardModifier.NoModifier, at(view, (24, 20, 12)))
    steps = case.edits.stack.count()
    case.set_tool(tool=Tool.POINTER)
    assert case.edits.stack.count() == steps + 1
    QTest.mouseRelease(view, LEFT, Qt.KeyboardModifier.NoModifier, at(view, (30, 20, 12)))
    assert case.edits.stack.count() == steps + 1
