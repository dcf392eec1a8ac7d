"""What the window relies on in PySide6, and what one release broke."""

from __future__ import annotations

import sys

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot


class Source(QObject):
    toggled = Signal(bool)


def test_calls_and_signals_keep_their_references(qtbot: QtBot):
    # Under Python 3.11, PySide6 6.12.0 loses a reference to None with each call and to True with each signal. Once the
    # count is 0 the interpreter ends with "none_dealloc: deallocating None". pyproject.toml excludes that release.
    widget, source = QWidget(), Source()
    qtbot.addWidget(widget)
    source.toggled.connect(lambda _on: None)
    before = sys.getrefcount(None), sys.getrefcount(True)
    for _ in range(1000):
        widget.update()
        source.toggled.emit(True)
    lost = before[0] - sys.getrefcount(None), before[1] - sys.getrefcount(True)
    assert max(lost) < 500
