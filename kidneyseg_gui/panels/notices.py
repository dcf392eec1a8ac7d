"""The bar above the views: errors, confirmations and warnings, each in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QSizePolicy, QWidget

from kidneyseg_gui.theme import icon
from kidneyseg_gui.widgets import column, named, row, shortened, single_shot, tool_button

INFO, WARNING, ERROR, DONE = "info", "warning", "error", "done"
_LARGEST_SHARE = 0.2
_BRIEF_MS = 10_000
_ICONS = {INFO: "info", WARNING: "warning", ERROR: "warning", DONE: "done"}
# A button's text and what it does.
Action = tuple[str, Callable[[], object]]


class _Notice(QFrame):
    def __init__(self, subject: str, kind: str, text: str, action: Action | None = None) -> None:
        super().__init__()
        self.subject, self.text = subject, text
        self.setObjectName("notice")
        self.setProperty("kind", kind)
        picture = QLabel(pixmap=icon(_ICONS[kind]).pixmap(QSize(16, 16)))
        words = QLabel(
            shortened(text), wordWrap=True, textInteractionFlags=Qt.TextInteractionFlag.TextSelectableByMouse
        )
        words.setToolTip(text if words.text() != text else "")
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        words.setSizePolicy(policy)
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

    def go_soon(self) -> None:
        """Disappear after some seconds."""
        single_shot(self, _BRIEF_MS, self.deleteLater).start()


class _Stack(QWidget):
    """What scrolls: it tells when a notice has come or gone."""

    changed = Signal()

    def event(self, event: QEvent) -> bool:
        """Tell it before the layout places the notices."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.changed.emit()
        return super().event(event)


class Notices(QScrollArea):
    """Notices: of each subject one event, which the next one replaces; and what is true of the open CT and its mask.

    They scroll where they would push the views off a small screen.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._inside = named(_Stack(), "notices")
        self._layout = column(self._inside, spacing=3)
        self._lasting: dict[str, tuple[str, ...]] = {}
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # a click on a notice leaves the keys to the views
        self.setWidgetResizable(True)
        self.setWidget(self._inside)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Maximum)
        self._inside.changed.connect(self._fit)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Take another height where sentences wrap otherwise."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def _fit(self) -> None:
        self._inside.setMinimumHeight(self.sizeHint().height())  # or they would be squeezed instead of scrolled
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        """All notices, one below the other."""
        return QSize(0, max(self._layout.totalHeightForWidth(self.viewport().width()), 0))

    def minimumSizeHint(self) -> QSize:
        """All notices, up to a fifth of the window."""
        return QSize(0, min(self.sizeHint().height(), round(self.window().height() * _LARGEST_SHARE)))

    def show_event(self, kind: str, text: str, action: Action | None = None, subject: str = "event") -> None:
        """Show what just happened in place of the event before of this subject; an empty text only takes that away.

        What went well and offers no button goes after some seconds.
        """
        self._remove(subject)
        if text:
            notice = _Notice(subject, kind, text, action)
            self._layout.insertWidget(0, notice)
            if kind in (INFO, DONE) and action is None:
                notice.go_soon()

    def show_lasting(
        self, subject: str, texts: tuple[str, ...], kind: str = WARNING, actions: Mapping[str, Action] | None = None
    ) -> None:
        """Show what is true of a subject ("volume", "result", "compare"), in place of what was before.

        What was true before keeps its place, and stays away where the user has dismissed it. `actions` are the buttons
        of some of the texts.
        """
        before, self._lasting[subject] = self._lasting.get(subject, ()), texts
        old = [notice for notice in self._all() if notice.subject == subject]
        at = self._layout.indexOf(old[0]) if old else self._layout.count()
        for notice in old:
            if notice.text in texts:
                at = self._layout.indexOf(notice) + 1
            else:
                self._take(notice)
        for text in texts:
            if text not in before:
                self._layout.insertWidget(at, _Notice(subject, kind, text, (actions or {}).get(text)))
                at += 1

    def texts(self) -> list[str]:
        """The sentences, from top to bottom."""
        return [notice.text for notice in self._all()]

    def _all(self) -> list[_Notice]:
        # Not by itemAt(): PySide keeps the Python object of an item that Qt has deleted, and takes the next widget at
        # that address for it.
        shown = [notice for notice in self._inside.findChildren(_Notice) if self._layout.indexOf(notice) >= 0]
        return sorted(shown, key=self._layout.indexOf)

    def _remove(self, subject: str) -> None:
        for notice in self._all():
            if notice.subject == subject:
                self._take(notice)

    def _take(self, notice: _Notice) -> None:
        self._layout.removeWidget(notice)
        notice.hide()
        notice.deleteLater()
