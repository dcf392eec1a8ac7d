"""The line between two compared masks: this one is drawn left of it, the other one right of it."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect
from PySide6.QtGui import QColor, QPainter, QPen

from kidneyseg_gui.case import Case
from kidneyseg_gui.comparing import Shown

_REACH = 6.0  # pixels from the line
_LINE, _HALO = QColor(235, 235, 235), QColor(0, 0, 0, 170)


class Wipe:
    """The line of one view, which the left button drags whatever the tool."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._share = 0.5  # of the view's width
        self.dragging = False

    @property
    def shown(self) -> bool:
        """Whether the comparison is shown as a wipe."""
        compare = self._case.compare
        return compare is not None and compare.shown == Shown.WIPE and self._case.overlay.shown

    def holds(self, at: QPointF, area: QRect) -> bool:
        """Whether a position is on the line, or the line is being dragged."""
        return self.shown and (self.dragging or abs(at.x() - self._x(area)) <= _REACH)

    def drag(self, at: QPointF, area: QRect) -> None:
        """Move the line to a position."""
        self._share = min(max(at.x() / max(area.width(), 1), 0.0), 1.0)

    def sides(self, area: QRect) -> tuple[QRect, QRect]:
        """The part of the view left of the line, and the rest."""
        x = round(self._x(area))
        return QRect(0, 0, x, area.height()), QRect(x, 0, area.width() - x, area.height())

    def draw(self, painter: QPainter, area: QRect) -> None:
        """Draw the line."""
        x = self._x(area)
        for pen in (QPen(_HALO, 3.0), QPen(_LINE, 1.0)):
            painter.setPen(pen)
            painter.drawLine(QPointF(x, 0), QPointF(x, area.height()))

    def _x(self, area: QRect) -> float:
        return self._share * area.width()
