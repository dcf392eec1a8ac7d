"""The four panes: two by two, or one of them filling the window."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QSplitter, QWidget

from kidneyseg_gui.case import Case
from kidneyseg_gui.slices import AXIAL, CORONAL, SAGITTAL
from kidneyseg_gui.tools import Tool
from kidneyseg_gui.views.cloud_view import CloudPane
from kidneyseg_gui.views.pane import Pane, SlicePane
from kidneyseg_gui.views.slice_view import SliceView
from kidneyseg_gui.widgets import column


class Quad(QWidget):
    """Axial and 3-D above, coronal and sagittal below.

    Signals:
        slice_left: the mouse has left a slice view.
    """

    slice_left = Signal()

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._case = case
        self.slices = [SlicePane(case, plane) for plane in (AXIAL, CORONAL, SAGITTAL)]
        self.cloud = CloudPane(case)
        axial, coronal, sagittal = self.slices
        self._rows = [self._splitter(Qt.Orientation.Horizontal, axial, self.cloud)]
        self._rows.append(self._splitter(Qt.Orientation.Horizontal, coronal, sagittal))
        self._whole = self._splitter(Qt.Orientation.Vertical, *self._rows)
        column(self, spacing=0).addWidget(self._whole)
        for pane in self.panes:
            pane.maximise_requested.connect(self._toggle)
        self._last_used = axial.slices
        for pane in self.slices:
            pane.slices.installEventFilter(self)
        self.cloud.entered.connect(self.focus_view)
        case.display_changed.connect(self._arrange)

    @property
    def panes(self) -> list[Pane]:
        """All four panes."""
        return [*self.slices, self.cloud]

    def reset_cameras(self) -> None:
        """Fit everything into its pane."""
        for pane in self.slices:
            pane.slices.reset_camera()
        self.cloud.reset_camera()

    @property
    def correcting(self) -> bool:
        """Whether the mouse is over a slice with a tool that changes the mask."""
        return self._case.tool.tool != Tool.POINTER and any(pane.slices.underMouse() for pane in self.slices)

    def focus_view(self) -> None:
        """Give the keys to the slice view that was used last, or to another one that is visible."""
        views = [self._last_used, *(pane.slices for pane in self.slices)]
        next((view for view in views if view.isVisible()), self).setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Remember which slice view was used last, and say that the mouse has left one."""
        if event.type() == QEvent.Type.FocusIn and isinstance(watched, SliceView):
            self._last_used = watched
        if event.type() == QEvent.Type.Leave:
            self.slice_left.emit()
        return False

    def _splitter(self, orientation: Qt.Orientation, *widgets: QWidget) -> QSplitter:
        splitter = QSplitter(orientation)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(3)
        for widget in widgets:
            splitter.addWidget(widget)
        # Both halves get the same size, whatever the size hints of their contents.
        splitter.setSizes([10_000] * len(widgets))
        for number in range(len(widgets)):
            splitter.setStretchFactor(number, 1)
        return splitter

    def _toggle(self, title: str) -> None:
        self._case.set_display(maximised="" if self._case.display.maximised == title else title)

    def _arrange(self) -> None:
        chosen = self._case.display.maximised
        for pane in self.panes:
            pane.setVisible(chosen in ("", pane.title))
            pane.show_maximised(chosen == pane.title)
        axial, coronal, sagittal = self.slices
        self._rows[0].setVisible(chosen in ("", axial.title, self.cloud.title))
        self._rows[1].setVisible(chosen in ("", coronal.title, sagittal.title))
