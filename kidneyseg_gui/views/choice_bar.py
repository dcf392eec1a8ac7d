"""A choice in a pane's header: buttons in a row or, where the pane is narrow, one button with a menu."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QSize
from PySide6.QtGui import QAction, QActionGroup, QResizeEvent
from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from kidneyseg_gui.widgets import named, row


class ChoiceBar(QWidget):
    """Shows one of several choices as chosen.

    Args:
        choices: name, text and hint of each.
        choose: called with the name that the user chose.
    """

    def __init__(self, choices: Iterable[tuple[str, str, str]], choose: Callable[[str], object]) -> None:
        super().__init__()
        self._line = row(self, spacing=1)
        self._line.addStretch(1)
        self._menu = QMenu(self)
        self._actions: dict[str, QAction] = {}
        self.buttons: dict[str, QToolButton] = {}
        group = QActionGroup(self)
        for name, text, hint in choices:
            action = QAction(text, group, checkable=True, toolTip=hint)
            action.triggered.connect(lambda _checked, name=name: choose(name))
            self._menu.addAction(action)
            self._actions[name] = action
            self.buttons[name] = self._button()
            self.buttons[name].setDefaultAction(action)
        self._only = self._button()
        self._only.setMenu(self._menu)
        self._only.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._only.hide()

    def _button(self) -> QToolButton:
        button = named(QToolButton(), "segment")
        self._line.addWidget(button)
        return button

    def show_choice(self, name: str) -> None:
        """Mark this one as chosen."""
        self._actions[name].setChecked(True)
        self._only.setText(self._actions[name].text())

    def enable(self, name: str, possible: bool) -> None:
        """Let the user choose this one, or not."""
        self._actions[name].setEnabled(possible)

    def sizeHint(self) -> QSize:
        """Room for all buttons in a row."""
        hints = [button.sizeHint() for button in self.buttons.values()]
        width = sum(hint.width() for hint in hints) + self._line.spacing() * (len(hints) - 1)
        return QSize(width, max(hint.height() for hint in hints))

    def minimumSizeHint(self) -> QSize:
        """Room for one button with a menu."""
        return self._only.sizeHint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show the row where it fits."""
        fits = event.size().width() >= self.sizeHint().width()
        for button in self.buttons.values():
            button.setVisible(fits)
        self._only.setVisible(not fits)
        super().resizeEvent(event)
