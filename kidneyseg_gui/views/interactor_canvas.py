"""The canvas for machines with a graphics card: pyvistaqt's widget."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pyvistaqt import QtInteractor


class InteractorCanvas:
    """A `Canvas` by pyvistaqt. It must not be made on Qt's offscreen platform, which has no OpenGL for it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self.plotter: Any = QtInteractor(parent, auto_update=False, lighting="none")
        self.widget: QWidget = self.plotter
        self.widget.setMinimumSize(160, 140)
        self.widget.setAcceptDrops(False)  # so that the window gets what is dropped here
        self.widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keys are the window's, not VTK's
        self.moving = False
        style = self.plotter.iren.get_interactor_style()
        style.AddObserver("StartInteractionEvent", lambda _style, _event: self._set_moving(True))
        style.AddObserver("EndInteractionEvent", lambda _style, _event: self._set_moving(False))

    def redraw(self) -> None:
        """Draw at the next paint."""
        self.widget.update()

    def _set_moving(self, moving: bool) -> None:
        self.moving = moving
        self.redraw()

    def finish(self) -> None:
        """Release the graphics."""
        self.plotter.close()
