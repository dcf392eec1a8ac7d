"""Constructors for widgets, layouts and timers, and texts that fit; object names are those of assets/style.qss."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QObject, QSize, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from kidneyseg_gui.theme import icon

_Widget = TypeVar("_Widget", bound=QWidget)
_Layout = TypeVar("_Layout", bound=QBoxLayout)
_Margins = tuple[int, int, int, int]
_NONE: _Margins = (0, 0, 0, 0)
_LONGEST_NAME = 36  # characters


def named(widget: _Widget, name: str) -> _Widget:
    """The widget, with the object name by which the style sheet finds it."""
    widget.setObjectName(name)
    return widget


def hint(text: str = "") -> QLabel:
    """A line of small, dim text that wraps."""
    label = named(QLabel(text), "hint")
    label.setWordWrap(True)
    return label


def shortened(text: str) -> str:
    """The text with every file or folder name that is too long for one line shortened in its middle."""

    def shorten(name: re.Match[str]) -> str:
        return f"{name[0][:20]}…{name[0][-15:]}"

    return re.sub(rf"[^\s/\\]{{{_LONGEST_NAME + 1},}}", shorten, text)


class ElidedLabel(QLabel):
    """One line that is cut in its middle where it does not fit; the tooltip shows all of it."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def show_text(self, text: str) -> None:
        """Show as much of this text as fits."""
        self._whole = text
        self.setToolTip(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the text into the new width."""
        self._fit()
        super().resizeEvent(event)

    def _fit(self) -> None:
        self.ensurePolished()
        frame = super().sizeHint().width() - self.fontMetrics().horizontalAdvance(self.text())  # of the style sheet
        self.setText(self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideMiddle, self.width() - frame))


def tool_button(picture: str = "", tip: str = "", *, pixels: int | None = None) -> QToolButton:
    """A flat button with an icon of assets/icons, `pixels` wide."""
    button = named(QToolButton(), "paneButton")
    button.setAutoRaise(True)
    button.setToolTip(tip)
    if picture:
        button.setIcon(icon(picture))
    if pixels is not None:
        button.setIconSize(QSize(pixels, pixels))
    return button


def row(parent: QWidget | None = None, *, spacing: int, margins: _Margins = _NONE) -> QHBoxLayout:
    """A horizontal layout; `parent` is the widget that it fills."""
    return _spaced(QHBoxLayout() if parent is None else QHBoxLayout(parent), spacing, margins)


def column(parent: QWidget | None = None, *, spacing: int, margins: _Margins = _NONE) -> QVBoxLayout:
    """A vertical layout; `parent` is the widget that it fills."""
    return _spaced(QVBoxLayout() if parent is None else QVBoxLayout(parent), spacing, margins)


def grid(parent: QWidget | None = None, *, spacing: tuple[int, int], margins: _Margins = _NONE) -> QGridLayout:
    """A grid with (horizontal, vertical) spacing; `parent` is the widget that it fills."""
    layout = QGridLayout() if parent is None else QGridLayout(parent)
    layout.setHorizontalSpacing(spacing[0])
    layout.setVerticalSpacing(spacing[1])
    layout.setContentsMargins(*margins)
    return layout


def single_shot(parent: QObject, milliseconds: int, slot: Callable[[], object]) -> QTimer:
    """A timer that calls `slot` once after each start."""
    timer = QTimer(parent, singleShot=True, interval=milliseconds)
    timer.timeout.connect(slot)
    return timer


def _spaced(layout: _Layout, spacing: int, margins: _Margins) -> _Layout:
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    return layout


def volume_text(ml: float) -> str:
    """A volume in mL, in words."""
    return f"{ml:.1f} mL" if ml < 100 else f"{ml:.0f} mL"
