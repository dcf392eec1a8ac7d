"""The bar above the views: errors, confirmations and warnings, each in a sentence."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QSizePolicy, QWidget

from kidneyseg_gui.theme import icon
from kidneyseg_gui.widgets import column, named, row, tool_button

INFO, WARNING, ERROR, DONE = "info", "warning", "error", "done"
_ICONS = {INFO: "info", WARNING: "warning", ERROR: "warning", DONE: "done"}


class _Notice(QFrame):
    def __init__(self, kind: str, text: str, action: tuple[str, Callable[[], object]] | None) -> None:
        super().__init__()
        self.kind, self.text = kind, text
        self.setObjectName("notice")
        self.setProperty("kind", kind)
        picture = QLabel(pixmap=icon(_ICONS[kind]).pixmap(QSize(16, 16)))
        words = QLabel(text, wordWrap=True, textInteractionFlags=Qt.TextInteractionFlag.TextSelectableByMouse)
        words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        close = tool_button("close", "Dismiss", pixels=12)
        close.clicked.connect(self.deleteLater)
        line = row(self, spacing=9, margins=(10, 4, 6, 4))
        line.addWidget(picture)
        line.addWidget(words, 1)
        if action is not None:
            button = named(QPushButton(action[0]), "noticeButton")
            button.clicked.connect(action[1])
            line.addWidget(button)
        line.addWidget(close)


class Notices(QWidget):
    """Notices: at most one event, which the next one replaces, and the warnings of the open CT and its result."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = column(self, spacing=3)
        self._event: _Notice | None = None
        self._warnings: dict[str, list[_Notice]] = {}

    def show_event(self, kind: str, text: str, action: tuple[str, Callable[[], object]] | None = None) -> None:
        """Show what just happened, in place of the event before. `action` is a button's text and what it does."""
        self.clear_event()
        self._event = self._add(kind, text, action, at=0)

    def clear_event(self) -> None:
        """Take the last event away."""
        self._drop(self._event)
        self._event = None

    def show_warnings(self, subject: str, texts: tuple[str, ...]) -> None:
        """Show the warnings of a subject ("volume", "result"), in place of its earlier ones."""
        for notice in self._warnings.pop(subject, []):
            self._drop(notice)
        self._warnings[subject] = [self._add(WARNING, text, None, at=-1) for text in texts]

    def texts(self) -> list[str]:
        """The sentences, from top to bottom."""
        items = [self._layout.itemAt(i) for i in range(self._layout.count())]
        widgets = [item.widget() for item in items if item is not None]
        return [widget.text for widget in widgets if isinstance(widget, _Notice)]

    def _add(self, kind: str, text: str, action: tuple[str, Callable[[], object]] | None, at: int) -> _Notice:
        notice = _Notice(kind, text, action)
        self._layout.insertWidget(at, notice)
        return notice

    def _drop(self, notice: _Notice | None) -> None:
        if notice is None:
            return
        try:
            self._layout.removeWidget(notice)
            notice.hide()
            notice.deleteLater()
        except RuntimeError:  # the user has dismissed it already
            pass
