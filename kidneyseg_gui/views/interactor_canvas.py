"""The front of the 3-D pane for machines with a graphics card: pyvistaqt's widget."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pyvistaqt import QtInteractor


class InteractorFront:
    """Draws by pyvistaqt; see `Front`. It must not be made on Qt's offscreen platform, which has no OpenGL for it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self.plotter = QtInteractor(parent, auto_update=False, lighting="none")
        self.widget: QWidget = self.plotter
        self.widget.setMinimumSize(160, 140)
        self.widget.setAcceptDrops(False)  # the window opens what is dropped on it, also here
        self.widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keys are the window's, not VTK's
        self.moving = False
        style = self.plotter.iren.get_interactor_style()
        style.AddObserver("StartInteractionEvent", lambda _style, _event: self._set_moving(True))
        style.AddObserver("EndInteractionEvent", lambda _style, _event: self._set_moving(False))

    def redraw(self) -> None:
        """Something changed: draw it at the next paint."""
        self.widget.update()

    def _set_moving(self, moving: bool) -> None:
        self.moving = moving
        self.redraw()

    def finish(self) -> None:
        """Let go of the graphics."""
        self.plotter.close()
