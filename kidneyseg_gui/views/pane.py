"""A pane of the window: a thin header over a view. A slice view has a slider in its header."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QSlider, QWidget

from kidneyseg_gui.case import Case
from kidneyseg_gui.slices import Plane
from kidneyseg_gui.theme import icon
from kidneyseg_gui.views.annotations import PLANE_COLOURS
from kidneyseg_gui.views.slice_view import SliceView
from kidneyseg_gui.widgets import column, named, row, tool_button


class Pane(QFrame):
    """A header with a coloured mark, a title, controls and a maximise button, over a view."""

    maximise_requested = Signal(str)

    def __init__(self, title: str, colour: str, view: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.view = title, view
        self.setObjectName("pane")
        mark = named(QFrame(), "paneMark")
        mark.setFixedSize(4, 14)
        mark.setStyleSheet(f"background: {colour}; border-radius: 2px;")
        self._maximise = tool_button(pixels=14)
        self._maximise.clicked.connect(lambda: self.maximise_requested.emit(title))
        self.controls = row(spacing=8)
        bar = named(QWidget(), "paneHeader")
        bar.setFixedHeight(28)
        header = row(bar, spacing=7, margins=(8, 2, 4, 2))
        header.addWidget(mark)
        header.addWidget(named(QLabel(title), "paneTitle"))
        header.addLayout(self.controls, 1)
        header.addWidget(self._maximise)
        whole = column(self, spacing=0)
        whole.addWidget(bar)
        whole.addWidget(view, 1)
        self.show_maximised(False)

    def show_maximised(self, maximised: bool) -> None:
        """Put the matching icon and hint on the maximise button."""
        self._maximise.setIcon(icon("restore" if maximised else "maximise"))
        hint = "Back to all four views" if maximised else f"Fill the window with the {self.title} view"
        self._maximise.setToolTip(f"{hint} (double-click)")


class SlicePane(Pane):
    """A slice view with a slider through its slices."""

    def __init__(self, case: Case, plane: Plane, parent: QWidget | None = None) -> None:
        self.slices = SliceView(case, plane)
        super().__init__(plane.name, PLANE_COLOURS[plane.name].name(), self.slices, parent)
        self._case, self._plane = case, plane
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setEnabled(False)
        self.slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.slider.setToolTip("Slice (wheel, arrow keys, Page Up and Page Down over the view)")
        self._number = named(QLabel(), "paneNumber")
        self._number.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._number.setMinimumWidth(self.fontMetrics().horizontalAdvance("000 / 000"))
        self.controls.addWidget(self.slider, 1)
        self.controls.addWidget(self._number)
        self.slider.valueChanged.connect(self._on_slider)
        self.slices.maximise_requested.connect(lambda: self.maximise_requested.emit(self.title))
        case.volume_changed.connect(self._on_volume)
        case.crosshair_changed.connect(self._on_crosshair)

    def _on_volume(self) -> None:
        volume = self._case.volume
        count = 1 if volume is None else volume.shape[self._plane.normal]
        self.slider.blockSignals(True)  # a value out of range changes, which must not move the crosshair
        self.slider.setRange(0, count - 1)
        self.slider.blockSignals(False)
        self.slider.setEnabled(volume is not None)
        self._on_crosshair()

    def _on_crosshair(self) -> None:
        index = self._case.crosshair[self._plane.normal]
        self.slider.setValue(index)
        self._number.setText(f"{index + 1} / {self.slider.maximum() + 1}")

    def _on_slider(self, value: int) -> None:
        self._case.step(self._plane.normal, value - self._case.crosshair[self._plane.normal])
