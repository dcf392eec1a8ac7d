"""The bar above the views: one sentence at a time about what went wrong, what was saved, what to know."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from kidneyseg_gui.theme import icon

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
        close = QToolButton(objectName="paneButton", autoRaise=True, icon=icon("close"), toolTip="Dismiss")
        close.setIconSize(QSize(12, 12))
        close.clicked.connect(self.deleteLater)
        line = QHBoxLayout(self, spacing=9)
        line.setContentsMargins(10, 4, 6, 4)
        line.addWidget(picture)
        line.addWidget(words, 1)
        if action is not None:
            button = QPushButton(action[0], objectName="noticeButton")
            button.clicked.connect(action[1])
            line.addWidget(button)
        line.addWidget(close)


class Notices(QWidget):
    """A stack of notices: what happened last (one), and what is true of the open case (until it is closed)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QVBoxLayout(self, spacing=3)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._event: _Notice | None = None
        self._facts: dict[str, list[_Notice]] = {}

    def tell(self, kind: str, text: str, action: tuple[str, Callable[[], object]] | None = None) -> None:
        """Show what just happened, in place of the last such notice."""
        self.clear_event()
        self._event = self._add(kind, text, action, at=0)

    def clear_event(self) -> None:
        """What happened last is no longer news."""
        self._drop(self._event)
        self._event = None

    def set_facts(self, about: str, kind: str, texts: tuple[str, ...]) -> None:
        """Show what is true of `about` (the volume, the result), in place of what was said of it before."""
        for notice in self._facts.pop(about, []):
            self._drop(notice)
        self._facts[about] = [self._add(kind, text, None, at=-1) for text in texts]

    def texts(self) -> list[str]:
        """What the bar says, from top to bottom."""
        items = [self._layout.itemAt(i).widget() for i in range(self._layout.count())]
        return [item.text for item in items if isinstance(item, _Notice)]

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
