"""One slice view: a CT slice with overlay, crosshair and annotations, and its mouse and key events."""

from __future__ import annotations

from typing import cast

import numpy as np
from PySide6 import QtGui
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QTransform
from PySide6.QtWidgets import QWidget

from kidneyseg.arrays import Box
from kidneyseg_gui.case import Case
from kidneyseg_gui.slices import Plane
from kidneyseg_gui.tools import Tool
from kidneyseg_gui.views.annotations import Annotations
from kidneyseg_gui.views.picture import Picture
from kidneyseg_gui.views.slice_camera import SliceCamera
from kidneyseg_gui.views.tool_input import ToolInput
from kidneyseg_gui.views.wipe import Wipe

_CLICK_PIXELS = 4
_STEP_KEYS = {
    Qt.Key.Key_Up: 1,
    Qt.Key.Key_Right: 1,
    Qt.Key.Key_Down: -1,
    Qt.Key.Key_Left: -1,
    Qt.Key.Key_PageUp: 10,
    Qt.Key.Key_PageDown: -10,
    Qt.Key.Key_Home: -1_000_000,
    Qt.Key.Key_End: 1_000_000,
}


class SliceView(QWidget):
    """Draws one plane of the case. It holds only the camera (zoom, pan) and the mouse position itself."""

    maximise_requested = Signal()
    menu_requested = Signal(object, object)  # the voxel under the mouse, None outside the CT; where on the screen

    def __init__(self, case: Case, plane: Plane, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._case, self.plane = case, plane
        self._picture, self._other = Picture(case, plane), Picture(case, plane, other=True)
        self._wipe = Wipe(case)
        self._annotations = Annotations(case, plane)
        self.tool = ToolInput(case, plane)
        self._camera = SliceCamera(case, plane)
        self._wheel = 0.0
        self._pressed: QPointF | None = None
        self._before_press = case.crosshair
        self._last = QPointF()
        self._dragging = Qt.MouseButton.NoButton
        self._pointer: QPointF | None = None
        self.setMinimumSize(120, 90)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName(f"{plane.name} slice view")
        case.volume_changed.connect(self.tool.cancel)
        case.volume_changed.connect(self.reset_camera)
        looks = (case.window_changed, case.overlay_changed, case.display_changed, case.compare_changed)
        for signal in (case.crosshair_changed, case.scene_changed, *looks):
            signal.connect(self.update)
        case.crosshair_changed.connect(self._point)
        case.mask_changed.connect(self._on_mask)
        case.tool_changed.connect(self._on_tool)

    def _on_mask(self, box: Box | None) -> None:
        side = None if box is None else box[self.plane.normal]
        if side is None or side.start <= self.slice_index < side.stop:
            self.update()

    @property
    def slice_index(self) -> int:
        """The slice that is shown."""
        return self._case.crosshair[self.plane.normal]

    def reset_camera(self) -> None:
        """Fit the slice into the view."""
        self._camera.reset()
        self.update()

    def pixels_per_mm(self) -> float:
        """Screen pixels per mm; 1 without a CT."""
        return self._camera.pixels_per_mm(self.size())

    def transform(self) -> QTransform:
        """From slice coordinates (column, row; pixel i covers i...i+1) to widget coordinates."""
        return self._camera.transform(self.size())

    def voxel_at(self, position: QPointF) -> tuple[int, int, int] | None:
        """The voxel under a widget position, None outside the slice."""
        volume = self._case.volume
        if volume is None:
            return None
        at = self.transform().inverted()[0].map(position)
        voxel = list(self._case.crosshair)
        voxel[self.plane.column], voxel[self.plane.row] = int(np.floor(at.x())), int(np.floor(at.y()))
        if all(0 <= v < n for v, n in zip(voxel, volume.shape, strict=True)):
            return voxel[0], voxel[1], voxel[2]
        return None

    def position_of(self, voxel: tuple[int, int, int]) -> QPointF:
        """Widget position of a voxel's centre."""
        return self.transform().map(QPointF(voxel[self.plane.column] + 0.5, voxel[self.plane.row] + 0.5))

    # Painting

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        """Draw the slice, its outlines and its annotations."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0))
        if self._case.volume is None:
            self._annotations.draw_invitation(painter, self.rect())
            return
        to_widget = self.transform()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if self._wipe.shown:
            for picture, side in zip((self._picture, self._other), self._wipe.sides(self.rect()), strict=True):
                painter.setClipRect(side)
                picture.draw(painter, to_widget)
            painter.setClipping(False)
            self._wipe.draw(painter, self.rect())
        else:
            self._picture.draw(painter, to_widget)
        pointed = self.voxel_at(self._pointer) if self._pointer is not None else None
        self._annotations.draw(
            painter, self.rect(), self.position_of(self._case.crosshair), self.pixels_per_mm(), pointed
        )
        if self.tool.active:
            self.tool.draw(painter, to_widget, self._pointer, self.pixels_per_mm())

    # Mouse and keys

    def mousePressEvent(self, event: QtGui.QMouseEvent) -> None:
        """Begin a click or a drag."""
        if self.tool.drawing:
            if event.button() != Qt.MouseButton.LeftButton:
                return  # a menu or a pan would take the end of the gesture away
            self.tool.release()  # a dialog has taken it away
        self._pressed = self._last = event.position()
        self._before_press = self._case.crosshair
        self._dragging = Qt.MouseButton.NoButton
        left = event.button() == Qt.MouseButton.LeftButton
        self._wipe.dragging = left and self._wipe.holds(event.position(), self.rect())
        if self._wipe.dragging:
            self._pressed = None
        elif self.tool.begins_with(event):
            self.tool.press(self._slice_position(event.position()))

    def mouseMoveEvent(self, event: QtGui.QMouseEvent) -> None:
        """Drag, and show what is under the mouse."""
        position = event.position()
        self._pointer = position
        self._point()
        self._show_cursor()
        if self._wipe.dragging and event.buttons() & Qt.MouseButton.LeftButton:
            self._wipe.drag(position, self.rect())
            self.update()
            return
        if self.tool.drawing and event.buttons() & Qt.MouseButton.LeftButton:
            self.tool.move(self._slice_position(position))
            self.update()
            return
        if self.tool.drawing:  # the button was released over a dialog
            self._end_gesture()
        if self._pressed is not None and self._dragging == Qt.MouseButton.NoButton:
            if (position - self._pressed).manhattanLength() < _CLICK_PIXELS:
                return
            self._dragging = _one_button(event.buttons())
        if self._dragging != Qt.MouseButton.NoButton:
            self._drag(position, event.modifiers())
            self._last = position
            self._point()  # a pan has moved the slice
        self.update()

    def _drag(self, position: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        moved = position - self._last
        if self._dragging == Qt.MouseButton.MiddleButton:
            self._camera.move(moved)
        elif self._dragging == Qt.MouseButton.RightButton:
            self._camera.zoom_at(1.01 ** -moved.y(), self._pressed or position, self.size())
        elif modifiers & Qt.KeyboardModifier.ShiftModifier:
            self._point_crosshair(position)
        elif self._case.volume is not None:
            width, level = self._case.window
            speed = max(width, 50.0) / 300.0  # a narrow window changes slowly, a wide one quickly
            self._case.set_window(round(width + moved.x() * speed), round(level + moved.y() * speed))

    def mouseReleaseEvent(self, event: QtGui.QMouseEvent) -> None:
        """Move the crosshair after a left click without a drag."""
        if self.tool.drawing:
            if event.button() == Qt.MouseButton.LeftButton:
                self._end_gesture()
            return
        clicked = self._pressed is not None and self._dragging == Qt.MouseButton.NoButton
        if clicked and event.button() == Qt.MouseButton.LeftButton:
            self._point_crosshair(event.position())
        elif clicked and event.button() == Qt.MouseButton.RightButton:
            self.menu_requested.emit(self.voxel_at(event.position()), event.globalPosition().toPoint())
        self._pressed, self._dragging = None, Qt.MouseButton.NoButton
        self._wipe.dragging = False

    def mouseDoubleClickEvent(self, event: QtGui.QMouseEvent) -> None:
        """Fill the window with this view, and back; the crosshair returns to where it was before the first click."""
        if event.button() == Qt.MouseButton.LeftButton and not self.tool.active:
            self._case.set_crosshair(self._before_press)
            self.maximise_requested.emit()
        elif event.button() == Qt.MouseButton.LeftButton and self._case.tool.tool == Tool.LASSO:
            self.tool.close_polygon()
        else:
            self.mousePressEvent(event)

    def _slice_position(self, position: QPointF) -> QPointF:
        return self.transform().inverted()[0].map(position)

    def _end_gesture(self) -> None:
        self.tool.release()
        self._pressed = None

    def _point(self) -> None:
        """Tell the case what is under the mouse now."""
        if self._pointer is not None:
            self._case.pointed = self.voxel_at(self._pointer)

    def _on_tool(self) -> None:
        if self.tool.take_options():
            self._pressed = None  # the rest of the drag is not one of the window
        self._show_cursor()
        self.update()

    def _show_cursor(self) -> None:
        if self._pointer is not None and self._wipe.holds(self._pointer, self.rect()):
            self.setCursor(Qt.CursorShape.SplitHCursor)
        else:
            self.setCursor(Qt.CursorShape.BlankCursor if self._case.tool.sized else Qt.CursorShape.CrossCursor)

    def _point_crosshair(self, position: QPointF) -> None:
        voxel = self.voxel_at(position)
        if voxel is not None:
            self._case.set_crosshair(voxel)

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        """Step through the slices; zoom with Ctrl."""
        turned = event.angleDelta().y() / 120.0
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier and self._case.tool.sized:
            self._case.resize_tool(1.15**turned)
            return
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._camera.zoom_at(1.15**turned, event.position(), self.size())
            self.update()
            return
        self._wheel += turned
        steps = int(self._wheel)  # touch pads send fractions of a step
        self._wheel -= steps
        if steps:
            self._case.step(self.plane.normal, steps)

    def event(self, event: QEvent) -> bool:
        """Keep Ctrl+Z from the menu while it takes a corner of a polygon back."""
        if event.type() == QEvent.Type.ShortcutOverride and self.tool.takes_back(cast("QtGui.QKeyEvent", event)):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:
        """Step through the slices, hide or show the mask."""
        if event.key() in _STEP_KEYS:
            self._case.step(self.plane.normal, _STEP_KEYS[Qt.Key(event.key())])
        elif self.tool.key(event):
            self.update()
        elif event.key() == Qt.Key.Key_Space:
            self._case.toggle_overlay()
        else:
            super().keyPressEvent(event)

    def enterEvent(self, event: QtGui.QEnterEvent) -> None:
        """Take the keyboard focus; a field that loses it takes what was typed into it."""
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Forget the mouse position."""
        self._pointer = self._case.pointed = None
        self.update()
        super().leaveEvent(event)

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        """Keep the same place in the middle."""
        if event.oldSize().width() > 0:
            self._camera.resize(event.size().width() / event.oldSize().width())
        super().resizeEvent(event)


def _one_button(buttons: Qt.MouseButton) -> Qt.MouseButton:
    order = (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton, Qt.MouseButton.RightButton)
    return next((button for button in order if buttons & button), Qt.MouseButton.NoButton)
