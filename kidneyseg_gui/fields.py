"""Makes the fields of the side panel harmless while the mouse and the keys are meant for the views."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QSlider, QWidget

_COMMITTING = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_MOVING_ON = (Qt.Key.Key_Tab, Qt.Key.Key_Backtab)


class FieldGuard(QObject):
    """Watches the spin boxes, combo boxes and sliders inside a panel.

    A field without the keyboard focus leaves the wheel to the panel, which scrolls. A committed value calls `release`,
    which is to give the focus to a view; otherwise Page Down or a digit meant for the view would change the field.

    Args:
        panel: its fields are watched; one that is added later is not.
        release: takes the focus away from a field.
    """

    def __init__(self, panel: QWidget, release: Callable[[], object]) -> None:
        super().__init__(panel)
        self._release = release
        self._text_before = ""
        for box in panel.findChildren(QComboBox):
            box.activated.connect(self._on_commit)
            self._watch(box)
        for slider in panel.findChildren(QSlider):
            slider.sliderReleased.connect(self._on_commit)
            self._watch(slider)
        for spin in panel.findChildren(QAbstractSpinBox):
            self._watch(spin)

    def _watch(self, field: QWidget) -> None:
        field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the default of most fields takes the focus by the wheel
        field.installEventFilter(self)

    def _on_commit(self) -> None:
        self._release()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the wheel pass an unfocused field; leave a spin box once its value is committed."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        if isinstance(watched, QAbstractSpinBox):
            if event.type() == QEvent.Type.FocusIn:
                self._text_before = watched.text()
            elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
                changed = watched.text() != self._text_before
                if event.key() in _COMMITTING or (event.key() in _MOVING_ON and changed):
                    self._release()  # a spin box that loses the focus takes what was typed
                    return True
        return False
