"""Which part of a slice a view shows, and how large."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QSize
from PySide6.QtGui import QTransform

from kidneyseg_gui.case import Case
from kidneyseg_gui.slices import Plane


class SliceCamera:
    """Zoom and pan of one plane of the case. At first the slice fits into the view."""

    def __init__(self, case: Case, plane: Plane) -> None:
        self._case, self._plane = case, plane
        self._zoom, self._pan = 1.0, QPointF(0, 0)

    def reset(self) -> None:
        """Fit the slice into the view."""
        self._zoom, self._pan = 1.0, QPointF(0, 0)

    def move(self, by: QPointF) -> None:
        """Pan by so many pixels."""
        self._pan += by

    def zoom_at(self, factor: float, fixed: QPointF, size: QSize) -> None:
        """Zoom; what lies at the widget position `fixed` stays there."""
        zoom = min(max(self._zoom * factor, 0.2), 40.0)
        offset = fixed - QPointF(size.width() / 2, size.height() / 2) - self._pan
        self._pan += offset - offset * (zoom / self._zoom)
        self._zoom = zoom

    def resize(self, factor: float) -> None:
        """Keep the same place in the middle of a view that is so much wider: zoom and pan are relative to its size."""
        self._pan *= factor

    def pixels_per_mm(self, size: QSize) -> float:
        """Screen pixels per mm in a view of this size; 1 without a CT."""
        volume = self._case.volume
        if volume is None:
            return 1.0
        width = volume.shape[self._plane.column] * volume.spacing_mm[self._plane.column]
        height = volume.shape[self._plane.row] * volume.spacing_mm[self._plane.row]
        return self._zoom * min(size.width() / width, size.height() / height)

    def transform(self, size: QSize) -> QTransform:
        """From slice coordinates (column, row; pixel i covers i...i+1) to coordinates of a widget of this size."""
        volume = self._case.volume
        if volume is None:
            return QTransform()
        scale = self.pixels_per_mm(size)
        x_scale = scale * volume.spacing_mm[self._plane.column]
        y_scale = -scale * volume.spacing_mm[self._plane.row]  # rows grow upward: to the front, to the head
        if self._plane.columns_flipped(self._case.display.radiological):
            x_scale = -x_scale
        to_widget = QTransform()
        to_widget.translate(size.width() / 2 + self._pan.x(), size.height() / 2 + self._pan.y())
        to_widget.scale(x_scale, y_scale)
        to_widget.translate(-volume.shape[self._plane.column] / 2, -volume.shape[self._plane.row] / 2)
        return to_widget
