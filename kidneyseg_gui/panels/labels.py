"""The labels of the mask: volume, colour, visibility, lock, opacity, outline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QCheckBox, QColorDialog, QLabel, QSlider, QToolButton, QWidget

from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg_gui.case import Case
from kidneyseg_gui.panels.section import Section
from kidneyseg_gui.theme import icon
from kidneyseg_gui.widgets import hint, row, tool_button, volume_text


class LabelsPanel(Section):
    """Shows and sets how the mask is drawn."""

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__("Labels", parent)
        self._case = case
        self.eyes: dict[int, QToolButton] = {}
        self.swatches: dict[int, QToolButton] = {}
        self.locks: dict[int, QToolButton] = {}
        self.volumes: dict[int, QLabel] = {}
        for label in (KIDNEY, TUMOUR, CYST):
            self._add_row(label)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setToolTip("How strongly the mask covers the CT")
        self.opacity.valueChanged.connect(lambda value: self._change(opacity=value / 100))
        self.filled = QCheckBox("Filled")
        self.filled.setToolTip("Tint the labels' inside (F)")
        self.filled.toggled.connect(lambda on: self._change(filled=on))
        self.outlined = QCheckBox("Outlined")
        self.outlined.setToolTip("Draw the labels' borders (F)")
        self.outlined.toggled.connect(lambda on: self._change(outlined=on))
        self.points = QCheckBox("Points of the 3D view")
        self.points.setToolTip("Draw the points of the 3D view on the slices, instead of the labels' inside (N)")
        self.points.toggled.connect(lambda on: case.set_display(points=on))
        self.shown = tool_button(tip="Hide or show the mask (O)")
        self.shown.clicked.connect(case.toggle_overlay)
        self.heading.addWidget(self.shown)
        line = row(spacing=8)
        line.addWidget(QLabel("Opacity"))
        line.addWidget(self.opacity, 1)
        line.addWidget(self.filled)
        line.addWidget(self.outlined)
        self.body.addLayout(line)
        self.body.addWidget(self.points)
        case.overlay_changed.connect(self._show)
        case.display_changed.connect(self._show)
        case.edits.locked_changed.connect(self._show)
        case.mask_changed.connect(lambda _box: self._show_volumes())
        self._show()
        self._show_volumes()

    def _add_row(self, label: int) -> None:
        name = self._case.overlay.style(label).name
        swatch = tool_button(tip=f"Choose the colour of {name.lower()}", pixels=16)
        swatch.clicked.connect(lambda: self._choose_colour(label))
        eye = tool_button(tip=f"Hide or show {name.lower()}")
        eye.setCheckable(True)
        eye.toggled.connect(lambda on: self._case.set_overlay(self._case.overlay.with_label(label, visible=on)))
        lock = tool_button(tip=f"Lock {name.lower()}: it neither gains nor loses voxels by hand")
        lock.setCheckable(True)
        lock.toggled.connect(lambda on: self._lock(label, on))
        volume = hint()
        line = row(spacing=8)
        line.addWidget(swatch)
        line.addWidget(QLabel(name), 1)
        for widget in (volume, lock, eye):
            line.addWidget(widget)
        self.body.addLayout(line)
        self.swatches[label], self.eyes[label] = swatch, eye
        self.locks[label], self.volumes[label] = lock, volume

    def _lock(self, label: int, on: bool) -> None:
        locked = self._case.edits.locked
        self._case.edits.set_locked(locked | {label} if on else locked - {label})

    def _show_volumes(self) -> None:
        mask, volume = self._case.edits.mask, self._case.volume
        for label, text in self.volumes.items():
            voxels = 0 if mask is None else mask.count[label]
            text.setText("" if volume is None or not voxels else volume_text(voxels * volume.voxel_ml))

    def _choose_colour(self, label: int) -> None:
        style = self._case.overlay.style(label)
        chosen = QColorDialog.getColor(QColor(*style.colour), self, f"Colour of {style.name.lower()}")
        if chosen.isValid():
            colour = (chosen.red(), chosen.green(), chosen.blue())
            self._case.set_overlay(self._case.overlay.with_label(label, colour=colour))

    def _change(self, **changes: Any) -> None:
        self._case.set_overlay(replace(self._case.overlay, **changes))

    def _show(self) -> None:
        overlay = self._case.overlay
        blockers = [
            QSignalBlocker(w)
            for w in (self.opacity, self.filled, self.outlined, self.points, *self.eyes.values(), *self.locks.values())
        ]
        self.opacity.setValue(round(overlay.opacity * 100))
        self.filled.setChecked(overlay.filled)
        self.outlined.setChecked(overlay.outlined)
        self.points.setChecked(self._case.display.points)
        self.shown.setIcon(icon("overlay" if overlay.shown else "overlay-off"))
        for label, style in overlay.labels:
            self.eyes[label].setChecked(style.visible)
            self.eyes[label].setIcon(icon("overlay" if style.visible else "overlay-off"))
            pixmap = QPixmap(16, 16)
            pixmap.fill(QColor(*style.colour))
            self.swatches[label].setIcon(QIcon(pixmap))
        for label, lock in self.locks.items():
            lock.setChecked(label in self._case.edits.locked)
            lock.setIcon(icon("lock" if label in self._case.edits.locked else "unlock"))
        del blockers
