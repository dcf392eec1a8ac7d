"""The Segment button, and stage, percent and time left while a job runs."""

from __future__ import annotations

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QFrame, QLabel, QProgressBar, QPushButton, QWidget

from kidneyseg_gui.case import Case
from kidneyseg_gui.jobs import JobKind
from kidneyseg_gui.theme import icon
from kidneyseg_gui.widgets import column, hint, named, row, shortened

_CANCELLABLE = (JobKind.OPEN, JobKind.SEGMENT)


class RunPanel(QFrame):
    """Starts and cancels a segmentation, and shows its progress."""

    segment_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("section")
        self._case = case
        self._busy: JobKind | None = None
        self.button = named(QPushButton(), "segmentButton")
        self.button.setIconSize(QSize(18, 18))
        self.button.setMinimumHeight(42)
        self.button.clicked.connect(self._on_click)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximum(1000)
        self.bar.setFixedHeight(6)
        self.stage = hint()
        self.left = named(QLabel(), "hint")
        line = row(spacing=6)
        line.addWidget(self.stage, 1)
        line.addWidget(self.left)
        whole = column(self, spacing=8, margins=(14, 12, 14, 10))
        whole.addWidget(self.button)
        whole.addWidget(self.bar)
        whole.addLayout(line)
        for signal in (case.volume_changed, case.result_changed, case.settings_changed, case.dirty_changed):
            signal.connect(self._refresh)
        self._refresh()

    def show_busy(self, kind: JobKind | None) -> None:
        """Show which kind of job runs or waits for its turn, None for none."""
        if kind in _CANCELLABLE and kind != self._busy:
            self.show_progress(kind, "Starting…", 0.0, -1.0)
        self._busy = kind
        self._refresh()

    def show_progress(self, _kind: str, stage: str, fraction: float, seconds_left: float) -> None:
        """Show how far the job is. A fraction of 0 shows a bar without a percentage, and -1 seconds no time left."""
        self.bar.setMaximum(1000 if fraction > 0 else 0)
        self.bar.setValue(round(fraction * 1000))
        percent = f"{fraction * 100:.0f} %" if fraction > 0 else ""
        self.stage.setText(shortened(f"{stage[:1].upper()}{stage[1:]}  {percent}".strip()))
        self.left.setText(f"{duration(seconds_left)} left" if seconds_left >= 0 else "")

    def show_cancelling(self) -> None:
        """Respond to Cancel at once, before the job has stopped."""
        self.button.setEnabled(False)
        self.button.setText("Cancelling…")

    def _on_click(self) -> None:
        (self.cancel_requested if self._busy in _CANCELLABLE else self.segment_requested).emit()

    def _refresh(self) -> None:
        running = self._busy in _CANCELLABLE
        stale = self._case.needs_network
        enabled = running or (self._case.volume is not None and self._busy != JobKind.EXPORT)
        if running:
            text, state, picture, tip = "Cancel", "cancel", "stop", "Stop the work (Esc)"
        else:
            text = "Segment again" if stale else "Segment"
            state = "again" if stale or self._case.result is None else "done"
            picture = "play" if state == "again" and enabled else "play-light"
            tip = "Find kidneys and tumours on this CT (Ctrl+Return or F5)"
        self.button.setText(text)
        self.button.setEnabled(enabled)
        self.button.setToolTip(tip)
        self.button.setIcon(icon(picture))
        self.button.setProperty("state", state)
        self.button.style().polish(self.button)
        if not self._busy:
            self.bar.setMaximum(1000)
            self.bar.setValue(0)
            self.left.setText("")
            self.stage.setText("The result is from before a change of settings." if stale else self._idle())

    def _idle(self) -> str:
        if self._case.volume is None:
            return "Open a CT to begin."
        if self._case.result is not None:
            return "The result is up to date."
        if self._case.edits.from_file:
            return "A mask from before is open."
        return "Finds kidneys and their lesions."


def duration(seconds: float) -> str:
    """Seconds in words, e.g. "1 min 05 s"."""
    if seconds < 60:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
