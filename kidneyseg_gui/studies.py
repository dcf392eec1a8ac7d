"""Asks which series of a DICOM study to open."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from kidneyseg_gui.outcomes import FoundStudy
from kidneyseg_gui.prompts import Prompts
from kidneyseg_gui.worker import JobRunner


class Studies(QObject):
    """Connects studies with several series with the question which one is wanted."""

    def __init__(self, jobs: JobRunner, prompts: Prompts, window: QWidget) -> None:
        super().__init__(window)
        self._jobs, self._prompts, self._window = jobs, prompts, window
        jobs.study_found.connect(self._on_found)

    def _on_found(self, path: Path, hu_offset: int | None, found: FoundStudy) -> None:
        # After the job has ended: the dialog waits for the user.
        QTimer.singleShot(0, lambda: self._ask(path, hu_offset, found))

    def _ask(self, path: Path, hu_offset: int | None, found: FoundStudy) -> None:
        if self._jobs.busy is not None:  # another CT was opened meanwhile
            return
        series = self._prompts.choose_series(self._window, found)
        if series is not None:
            self._jobs.open(path, hu_offset, series, found)
