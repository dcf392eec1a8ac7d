from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fakes import make_volume
from kidneyseg.editing import EditedMask
from kidneyseg_gui.case import Case
from kidneyseg_gui.edits import Origin
from kidneyseg_gui.slices import AXIAL, CORONAL, PLANES, SAGITTAL, Plane
from kidneyseg_gui.views.slice_view import SliceView


@pytest.fixture
def case() -> Case:
    made = Case()
    made.open(make_volume((60, 40, 20), (1.0, 1.5, 4.0)))
    made.set_display(crosshair=False)
    return made


def view_of(case: Case, plane: Plane, qtbot: QtBot, size: tuple[int, int] = (400, 300)) -> SliceView:
    view = SliceView(case, plane)
    qtbot.addWidget(view)
    view.resize(*size)
    view.reset_camera()
    return view


def picture_of(view: SliceView) -> QImage:
    return view.grab().toImage()


def mouse(
    view: SliceView, kind: QEvent.Type, at: QPointF, button: Qt.MouseButton, modifiers=Qt.KeyboardModifier.NoModifier
) -> None:
    buttons = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else button
    QApplication.sendEvent(view, QMouseEvent(kind, at, view.mapToGlobal(at), button, buttons, modifiers))


def drag(
    view: SliceView, button: Qt.MouseButton, by: tuple[float, float], modifiers=Qt.KeyboardModifier.NoModifier
) -> None:
    start = QPointF(view.width() / 2, view.height() / 2)
    mouse(view, QEvent.Type.MouseButtonPress, start, button, modifiers)
    for part in (0.3, 1.0):
        mouse(view, QEvent.Type.MouseMove, start + QPointF(*by) * part, button, modifiers)
    mouse(view, QEvent.Type.MouseButtonRelease, start + QPointF(*by), button, modifiers)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("radiological", [True, False])
def test_a_voxel_is_found_under_its_own_place(case, qtbot, plane, radiological):
    case.set_display(radiological=radiological)
    view = view_of(case, plane, qtbot)
    for voxel in ((0, 0, 0), (59, 39, 19), (12, 31, 5)):
        expected = list(voxel)
        expected[plane.normal] = case.crosshair[plane.normal]
        assert view.voxel_at(view.position_of(voxel)) == tuple(expected)
    assert view.voxel_at(QPointF(-5, 10)) is None


def test_right_of_the_patient_is_left_on_the_screen_by_default(case, qtbot):
    view = view_of(case, AXIAL, qtbot)
    assert view.position_of((59, 0, 0)).x() < view.position_of((0, 0, 0)).x()  # x grows to the patient's right
    assert view.position_of((0, 39, 0)).y() < view.position_of((0, 0, 0)).y()  # the front is above
    case.set_display(radiological=False)
    assert view.position_of((59, 0, 0)).x() > view.position_of((0, 0, 0)).x()


def test_head_is_above_and_front_is_left(case, qtbot):
    for plane in (CORONAL, SAGITTAL):
        view = view_of(case, plane, qtbot)
        assert view.position_of((0, 0, 19)).y() < view.position_of((0, 0, 0)).y()
    view = view_of(case, SAGITTAL, qtbot)
    assert view.position_of((0, 39, 0)).x() < view.position_of((0, 0, 0)).x()


@pytest.mark.parametrize("plane", PLANES)
def test_a_millimetre_is_as_wide_as_it_is_high(case, qtbot, plane):
    view = view_of(case, plane, qtbot)
    spacing = case.volume.spacing_mm
    origin, column, row = [0, 0, 0], [0, 0, 0], [0, 0, 0]
    column[plane.column], row[plane.row] = 10, 10
    a, b, c = (view.position_of(tuple(v)) for v in (origin, column, row))
    assert abs(b.x() - a.x()) / (10 * spacing[plane.column]) == pytest.approx(view.pixels_per_mm())
    assert abs(c.y() - a.y()) / (10 * spacing[plane.row]) == pytest.approx(view.pixels_per_mm())


def test_the_whole_slice_fits(case, qtbot):
    view = view_of(case, AXIAL, qtbot)
    for voxel in ((0, 0, 0), (59, 39, 0)):
        assert view.rect().contains(view.position_of(voxel).toPoint())


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("radiological", [True, False])
def test_the_overlay_lies_on_its_voxels(case, qtbot, plane, radiological):
    case.set_display(radiological=radiological)
    voxel = (41, 11, 6)
    mask = np.zeros(case.volume.shape, np.uint8, order="F")
    mask[tuple(slice(v - 1, v + 2) for v in voxel)] = 1
    case.set_crosshair(voxel)
    case.set_overlay(replace(case.overlay, opacity=1.0, outlined=False).with_label(1, colour=(255, 0, 0)))
    case.edits.start_from(EditedMask(mask), Origin())
    case.result_changed.emit()
    view = view_of(case, plane, qtbot, (600, 500))
    picture = picture_of(view)
    at = view.position_of(voxel).toPoint()
    assert picture.pixelColor(at) == QColor(255, 0, 0)
    beside = list(voxel)
    beside[plane.column] += 4
    assert picture.pixelColor(view.position_of(tuple(beside)).toPoint()) != QColor(255, 0, 0)
    case.toggle_overlay()
    assert picture_of(view).pixelColor(at) != QColor(255, 0, 0)


def test_outline_surrounds_the_label_and_leaves_its_inside(case, qtbot):
    mask = np.zeros(case.volume.shape, np.uint8, order="F")
    mask[20:40, 10:30, :] = 1
    case.set_overlay(replace(case.overlay, filled=False, outlined=True).with_label(1, colour=(0, 255, 0)))
    case.edits.start_from(EditedMask(mask), Origin())
    case.result_changed.emit()
    view = view_of(case, AXIAL, qtbot, (600, 500))
    picture = picture_of(view)
    edge = view.transform().map(QPointF(20, 20.5)).toPoint()
    near = [picture.pixelColor(edge + QPoint(dx, 0)) for dx in (-1, 0, 1)]
    assert max(c.green() - c.red() for c in near) > 100
    inside = picture.pixelColor(view.position_of((30, 20, 0)).toPoint())
    assert inside.green() == inside.red()


def test_window_changes_the_grey(case, qtbot):
    view = view_of(case, AXIAL, qtbot)
    at = view.position_of(case.crosshair).toPoint()
    case.set_window(2000, 1040)
    assert picture_of(view).pixelColor(at).red() == 0
    case.set_window(100, -200)
    assert picture_of(view).pixelColor(at).red() == 255


def test_click_moves_the_crosshair_and_drag_the_window(case, qtbot):
    view = view_of(case, AXIAL, qtbot)
    target = view.position_of((10, 30, 0))
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=target.toPoint())
    assert case.crosshair[:2] == (10, 30)
    before = case.window
    drag(view, Qt.MouseButton.LeftButton, (60, 40))
    assert case.window[0] > before[0]
    assert case.window[1] > before[1]
    assert case.crosshair[:2] == (10, 30)


def test_shift_drag_carries_the_crosshair(case, qtbot):
    view = view_of(case, AXIAL, qtbot)
    before = case.window
    drag(view, Qt.MouseButton.LeftButton, (40, 0), Qt.KeyboardModifier.ShiftModifier)
    assert case.window == before
    assert case.crosshair[0] < 30  # radiological: to the right on the screen is to the patient's left


def test_middle_drag_pans_and_right_drag_zooms_and_r_resets(case, qtbot):
    view = view_of(case, AXIAL, qtbot)
    home, scale = view.position_of((30, 20, 0)), view.pixels_per_mm()
    drag(view, Qt.MouseButton.MiddleButton, (25, -10))
    moved = view.position_of((30, 20, 0)) - home
    assert (moved.x(), moved.y()) == pytest.approx((25, -10))
    drag(view, Qt.MouseButton.RightButton, (0, -50))
    assert view.pixels_per_mm() > scale * 1.3
    view.reset_camera()
    assert view.position_of((30, 20, 0)) == home
    assert view.pixels_per_mm() == scale


def wheel(view: SliceView, at: QPointF, delta: int, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    event = QWheelEvent(
        at,
        view.mapToGlobal(at),
        QPoint(),
        QPoint(0, delta),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view, event)


def test_wheel_steps_and_ctrl_wheel_zooms_at_the_mouse(case, qtbot):
    view = view_of(case, AXIAL, qtbot)
    wheel(view, QPointF(50, 50), 120)
    assert case.crosshair[2] == 11
    wheel(view, QPointF(50, 50), -60)
    wheel(view, QPointF(50, 50), -60)
    assert case.crosshair[2] == 10
    at = QPointF(120, 80)
    before = view.transform().inverted()[0].map(at)
    wheel(view, at, 240, Qt.KeyboardModifier.ControlModifier)
    after = view.transform().inverted()[0].map(at)
    assert (after.x(), after.y()) == pytest.approx((before.x(), before.y()))
    assert case.crosshair[2] == 10


def test_keys_step_through_the_slices(case, qtbot):
    view = view_of(case, CORONAL, qtbot)
    for key, expected in (("Up", 21), ("Left", 20), ("PageDown", 10), ("Home", 0), ("End", 39)):
        QTest.keyClick(view, getattr(Qt.Key, f"Key_{key}"))
        assert case.crosshair[1] == expected
    QTest.keyClick(view, Qt.Key.Key_Space)
    assert not case.overlay.shown


def test_a_drag_without_a_ct_leaves_the_window_as_it_is(qtbot):
    case = Case()
    before = case.window
    drag(view_of(case, AXIAL, qtbot), Qt.MouseButton.LeftButton, (50, 30))
    assert case.window == before
