"""The highlight while a file is held over the window."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from kidneyseg_gui.theme import ACCENT


class DropZone(QWidget):
    """A translucent sheet over the whole window that says what a drop would do."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._text, self._good = "", True
        self.hide()

    def offer(self, text: str, *, good: bool) -> None:
        """Cover the window with this sentence; `good` tells whether the drop would be accepted."""
        self._text, self._good = text, good
        self.setGeometry(self.window().rect())
        self.raise_()
        self.show()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the sheet, its dashed frame and the sentence."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(14, 18, 23, 200))
        colour = QColor(ACCENT if self._good else "#e0705f")
        frame = QRectF(self.rect()).adjusted(28, 28, -28, -28)
        painter.setPen(QPen(colour, 3, Qt.PenStyle.DashLine))
        painter.setBrush(QColor(colour.red(), colour.green(), colour.blue(), 26))
        painter.drawRoundedRect(frame, 18, 18)
        font = QFont(self.font())
        font.setPixelSize(22)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor("#eef2f6"))
        placed = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(frame.adjusted(40, 40, -40, -40), placed, self._text)
