"""The big button: Segment, or Cancel with stage, percent and time left while work is in hand."""

from __future__ import annotations

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from kidneyseg_gui.case import Case
from kidneyseg_gui.theme import icon

_IDLE = {
    (False, False): "Open a CT to begin.",
    (True, False): "Finds kidneys and tumours. The window stays usable meanwhile.",
    (True, True): "The result is up to date.",
}


class RunPanel(QFrame):
    """Starts and cancels work, and shows how far it is."""

    segment_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("section")
        self._case, self._busy = case, ""
        self.button = QPushButton(objectName="segmentButton")
        self.button.setIconSize(QSize(18, 18))
        self.button.setMinimumHeight(42)
        self.button.clicked.connect(self._on_click)
        self.bar = QProgressBar(textVisible=False, maximum=1000)
        self.bar.setFixedHeight(6)
        self.stage = QLabel(objectName="hint", wordWrap=True)
        self.left = QLabel(objectName="hint")
        line = QHBoxLayout()
        line.addWidget(self.stage, 1)
        line.addWidget(self.left)
        whole = QVBoxLayout(self, spacing=8)
        whole.setContentsMargins(14, 12, 14, 10)
        whole.addWidget(self.button)
        whole.addWidget(self.bar)
        whole.addLayout(line)
        for signal in (case.volume_changed, case.result_changed, case.settings_changed):
            signal.connect(self._refresh)
        self._refresh()

    def show_busy(self, kind: str) -> None:
        """Show that work of this kind is in hand, "" that none is."""
        self._busy = kind
        self._refresh()

    def show_progress(self, _kind: str, stage: str, fraction: float, seconds_left: float) -> None:
        """Show a report of the work in hand; a fraction of 0 shows a bar that only says "busy"."""
        self.bar.setMaximum(1000 if fraction > 0 else 0)
        self.bar.setValue(round(fraction * 1000))
        percent = f"{fraction * 100:.0f} %" if fraction > 0 else ""
        self.stage.setText(f"{stage[:1].upper()}{stage[1:]}  {percent}".strip())
        self.left.setText(f"{duration(seconds_left)} left" if seconds_left >= 0 else "")

    def show_cancelling(self) -> None:
        """Answer a cancel at once, before the work has noticed it."""
        self.button.setEnabled(False)
        self.button.setText("Cancelling…")

    def _on_click(self) -> None:
        (self.cancel_requested if self._busy in ("open", "segment") else self.segment_requested).emit()

    def _refresh(self) -> None:
        running = self._busy in ("open", "segment")
        stale = self._case.needs_network
        if running:
            text, look = "Cancel", "cancel"
        elif stale:
            text, look = "Segment again", "again"
        else:
            text, look = "Segment", "again" if self._case.result is None else "done"
        self.button.setText(text)
        self.button.setEnabled(running or (self._case.volume is not None and self._busy != "export"))
        self.button.setToolTip(
            "Stop the work (Esc)" if running else "Find kidneys and tumours on this CT (Ctrl+Return or F5)"
        )
        self.button.setIcon(
            icon("stop" if running else "play" if look == "again" and self.button.isEnabled() else "play-light")
        )
        if self.button.property("look") != look:
            self.button.setProperty("look", look)
            self.button.style().unpolish(self.button)
            self.button.style().polish(self.button)
        if not self._busy:
            self.bar.setMaximum(1000)
            self.bar.setValue(0)
            self.left.setText("")
            idle = _IDLE[self._case.volume is not None, self._case.result is not None]
            self.stage.setText("A setting that the networks depend on has changed." if stale else idle)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
