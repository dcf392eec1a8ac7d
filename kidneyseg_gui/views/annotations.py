"""Annotations of a slice: crosshair, orientation letters, scale bar, position and HU."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from kidneyseg_gui.case import Case
from kidneyseg_gui.slices import AXIAL, FROM, TOWARDS, Plane, Voxel

# The colours of 3D Slicer. The lines in a view are where the other two planes cut it.
PLANE_COLOURS = {"Axial": QColor(226, 92, 84), "Coronal": QColor(110, 196, 108), "Sagittal": QColor(232, 200, 84)}
_NORMAL_OWNER = {2: "Axial", 1: "Coronal", 0: "Sagittal"}
_TEXT, _SHADOW = QColor(226, 230, 234), QColor(0, 0, 0, 200)
_INVITATION = QColor(125, 135, 147)
_MARGIN = 8
_GAP = 9
_LEAST_FOR_SCALE = 140  # pixels; in a lower view the scale bar would lie on the letters


class Annotations:
    """Draws over one plane of the case."""

    def __init__(self, case: Case, plane: Plane) -> None:
        self._case, self._plane = case, plane
        self._font = QFont()
        self._font.setPixelSize(12)
        self._letters = QFont()
        self._letters.setPixelSize(15)
        self._letters.setBold(True)

    def draw_invitation(self, painter: QPainter, area: QRect) -> None:
        """Write how to open a CT into the empty axial view."""
        if self._plane == AXIAL:
            painter.setFont(self._letters)
            painter.setPen(_INVITATION)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "Drop a CT here, or press Ctrl+O")

    def draw(self, painter: QPainter, area: QRect, cross: QPointF, pixels_per_mm: float, pointed: Voxel | None) -> None:
        """Draw into `area`. `cross` is the crosshair on the screen, `pointed` the voxel under the mouse."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._case.display.crosshair:
            self._draw_crosshair(painter, area, cross)
        self._draw_letters(painter, area)
        painter.setFont(self._font)
        if area.height() >= _LEAST_FOR_SCALE:
            self._draw_scale(painter, area, pixels_per_mm)
        self._draw_texts(painter, area, pointed)

    def _draw_crosshair(self, painter: QPainter, area: QRect, at: QPointF) -> None:
        vertical, horizontal = (
            QColor(PLANE_COLOURS[_NORMAL_OWNER[axis]]) for axis in (self._plane.column, self._plane.row)
        )
        for colour, lines in (
            (vertical, ((at.x(), 0, at.x(), at.y() - _GAP), (at.x(), at.y() + _GAP, at.x(), area.height()))),
            (horizontal, ((0, at.y(), at.x() - _GAP, at.y()), (at.x() + _GAP, at.y(), area.width(), at.y()))),
        ):
            colour.setAlpha(170)
            painter.setPen(QPen(colour, 1))
            for x0, y0, x1, y1 in lines:
                painter.drawLine(QPointF(x0, y0), QPointF(x1, y1))

    def _draw_letters(self, painter: QPainter, area: QRect) -> None:
        painter.setFont(self._letters)
        left, right, top, bottom = self._plane.letters(self._case.display.radiological)
        middle_x, middle_y = area.width() / 2, area.height() / 2
        height = QFontMetricsF(self._letters).ascent()
        self._write(painter, left, _MARGIN, middle_y + height / 2)
        self._write(painter, right, area.width() - _MARGIN, middle_y + height / 2, before=1.0)
        self._write(painter, top, middle_x, _MARGIN + height, before=0.5)
        self._write(painter, bottom, middle_x, area.height() - _MARGIN, before=0.5)

    def _draw_scale(self, painter: QPainter, area: QRect, pixels_per_mm: float) -> None:
        wanted = area.width() * 0.22 / pixels_per_mm
        decade = 10 ** math.floor(math.log10(max(wanted, 1e-3)))
        length = max(step * decade for step in (1, 2, 5) if step * decade <= wanted)
        right, bottom = area.width() - _MARGIN, area.height() - _MARGIN - 22
        left = right - length * pixels_per_mm
        for colour, width in ((_SHADOW, 3.0), (_TEXT, 1.4)):
            painter.setPen(QPen(colour, width))
            painter.drawLine(QPointF(left, bottom), QPointF(right, bottom))
            for x in (left, right):
                painter.drawLine(QPointF(x, bottom - 4), QPointF(x, bottom))
        text = f"{length / 10:g} cm" if length >= 10 else f"{length:g} mm"
        self._write(painter, text, (left + right) / 2, bottom - 7, before=0.5)

    def _draw_texts(self, painter: QPainter, area: QRect, pointed: Voxel | None) -> None:
        width, level = self._case.window
        bottom = area.height() - _MARGIN
        self._write(painter, f"W {width:.0f}  L {level:.0f}", area.width() - _MARGIN, bottom, before=1.0)
        volume = self._case.volume
        if pointed is None or volume is None:
            return
        value = int(volume.hu[pointed])
        unit = "HU" if volume.calibrated else "(uncalibrated)"
        line = QFontMetricsF(self._font).height()
        lines = [f"{value} {unit}", "voxel " + " ".join(str(v) for v in pointed), position_text(volume.affine, pointed)]
        for number, text in enumerate(lines[::-1] if area.width() > 240 else lines[:1]):
            self._write(painter, text, _MARGIN, bottom - number * line)

    def _write(self, painter: QPainter, text: str, x: float, y: float, before: float = 0.0) -> None:
        """Write with a shadow, the bottom at `y`; the share `before` of the text lies to the left of `x`."""
        width = QFontMetricsF(painter.font()).horizontalAdvance(text)
        for dx, dy, colour in ((1, 1, _SHADOW), (-1, 1, _SHADOW), (1, -1, _SHADOW), (-1, -1, _SHADOW), (0, 0, _TEXT)):
            painter.setPen(colour)
            place = QRectF(x - before * width + dx, y + dy - 40, width + 4, 40)
            painter.drawText(place, Qt.AlignmentFlag.AlignBottom, text)


def position_text(affine: np.ndarray, voxel: Voxel) -> str:
    """A voxel's position in the patient, e.g. "R 31.0  P 102.5  S 40.0 mm"."""
    position = affine[:3, :3] @ np.array(voxel) + affine[:3, 3]
    parts = [f"{TOWARDS[i] if p >= 0 else FROM[i]} {abs(p):.1f}" for i, p in enumerate(position)]
    return "  ".join(parts) + " mm"
