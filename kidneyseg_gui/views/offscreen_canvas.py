"""The canvas for software OpenGL: a widget that shows an off-screen rendering.

PyVista renders into a window that is never shown, and the pixels are copied into an ordinary widget, so that the rest
of the program needs no OpenGL. With pyvistaqt's widget, a QOpenGLWidget, Qt composes the whole window by OpenGL at
every change of any widget. The shortest frame in ms, with llvmpipe on two cores and the sample case (measured by
`KIDNEYSEG_3D=offscreen python tests/acceptance/window_driver.py CT FOLDER --frames` under xvfb-run):

                         off-screen   pyvistaqt
    turn the points         186          182
    turn the surface         19           35
    window the slices        16           28

pyvistaqt draws on graphics cards, without the copy; this canvas has not been measured on one.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pyvista
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QImage, QMouseEvent, QPainter, QPaintEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QWidget
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkUnsignedCharArray

from kidneyseg_gui.widgets import single_shot

_SETTLED_MS = 250
_BUTTONS = (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton, Qt.MouseButton.RightButton)


class OffscreenCanvas(QWidget):
    """A `Canvas` that renders when something changed. Left drag turns, middle drag pans, right drag and wheel zoom."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(120, 90)
        self.widget: QWidget = self
        self.plotter = cast("Any", pyvista.Plotter(off_screen=True, lighting="none"))
        self._window = self.plotter.render_window
        self._interactor = self.plotter.iren.interactor
        self._interactor.EnableRenderOff()  # rendering is left to paintEvent: once per frame
        self._interactor.Initialize()
        self._interactor.AddObserver("RenderEvent", lambda _interactor, _event: self.redraw())
        self._bytes = vtkUnsignedCharArray()
        self._image = QImage()
        self._stale, self.moving = True, False
        self._settled = single_shot(self, _SETTLED_MS, lambda: self._set_moving(False))

    def redraw(self) -> None:
        """Draw at the next paint."""
        self._stale = True
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Render if something changed, and show the image."""
        if self._stale:
            self._stale = False
            self._draw()
        painter = QPainter(self)
        painter.translate(0, self.height())
        painter.scale(1, -1)  # OpenGL's rows start at the bottom
        painter.drawImage(self.rect(), self._image)

    def _draw(self) -> None:
        scale = self.devicePixelRatioF()
        width, height = max(round(self.width() * scale), 1), max(round(self.height() * scale), 1)
        if tuple(self._window.GetSize()) != (width, height):
            self._window.SetSize(width, height)
            self._interactor.SetSize(width, height)
        self._window.Render()
        self._window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, self._bytes)
        self._pixels = np.ascontiguousarray(vtk_to_numpy(self._bytes))  # QImage borrows this memory
        self._image = QImage(self._pixels.data, width, height, width * 4, QImage.Format.Format_RGBX8888)

    def _send(self, event: str, at: QPointF, modifiers: Qt.KeyboardModifier) -> None:
        scale = self.devicePixelRatioF()
        control = bool(modifiers & Qt.KeyboardModifier.ControlModifier)
        shift = bool(modifiers & Qt.KeyboardModifier.ShiftModifier)
        x, y = round(at.x() * scale), round(at.y() * scale)
        self._interactor.SetEventInformationFlipY(x, y, control, shift, chr(0), 0, None)
        self._interactor.InvokeEvent(event)

    def _set_moving(self, moving: bool) -> None:
        if moving != self.moving:
            self.moving = moving
            self.redraw()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to turn, pan or zoom."""
        if event.button() in _BUTTONS:
            self._send(f"{event.button().name}PressEvent", event.position(), event.modifiers())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Turn, pan or zoom."""
        if event.buttons():
            self._set_moving(True)
        self._send("MouseMoveEvent", event.position(), event.modifiers())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Come to rest."""
        if event.button() in _BUTTONS:
            self._send(f"{event.button().name}ReleaseEvent", event.position(), event.modifiers())
            self._set_moving(False)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom."""
        self._set_moving(True)
        self._settled.start()
        way = "Forward" if event.angleDelta().y() > 0 else "Backward"
        self._send(f"MouseWheel{way}Event", event.position(), event.modifiers())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Render at the new size."""
        self.redraw()
        super().resizeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Render again on another screen."""
        self._stale = True
        super().changeEvent(event)

    def finish(self) -> None:
        """Release the graphics."""
        self._settled.stop()
        self._stale = False
        self._interactor.RemoveAllObservers()
        self.plotter.close()
