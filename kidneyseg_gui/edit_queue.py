"""Has the edits that are asked for computed in a working thread, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from kidneyseg_gui.case import Case, Compute, Finish
from kidneyseg_gui.jobs import JobKind
from kidneyseg_gui.panels import notices
from kidneyseg_gui.tools import NAMES
from kidneyseg_gui.worker import JobRunner

if TYPE_CHECKING:
    from kidneyseg_gui.outcomes import Edited


class EditQueue(QObject):
    """Each edit is computed for the mask as the edit before it left it, and again where a stroke has changed that.

    Undo, redo and another mask drop the edits that are not carried out yet.

    Signals:
        notified: as of the controller, of an edit that changed nothing; the next gesture takes it away.
    """

    notified = Signal(str, str, object)

    def __init__(self, case: Case, jobs: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._case, self._jobs = case, jobs
        self._edits: list[tuple[str, Compute, Finish]] = []  # the first one is being computed
        case.edit_requested.connect(self._on_requested)
        case.edits.moved.connect(self._drop)
        case.edits.started.connect(self._drop)
        for gesture in (case.edits.pushed, case.edits.moved, case.edits.started, case.tool_changed):
            gesture.connect(self._forget_notice)
        jobs.edited.connect(self._on_edited)
        jobs.failed.connect(self._on_failed)

    def _on_requested(self, name: str, compute: Compute, finish: Finish) -> None:
        self._forget_notice()
        self._edits.append((name, compute, finish))
        if len(self._edits) == 1:
            self._compute()

    def _compute(self) -> None:
        volume, mask = self._case.volume, self._case.edits.mask
        if self._edits and volume is not None and mask is not None:
            _name, compute, _finish = self._edits[0]
            self._jobs.edit(volume, mask, compute)

    def _on_edited(self, edit: Edited) -> None:
        mask = self._case.edits.mask
        if mask is None or mask.version != edit.version:
            self._compute()
            return
        name, _compute, finish = self._edits.pop(0)
        more = bool(self._edits)  # before `finish`, which may ask for the next edit
        if not finish(name, edit.voxels):
            locked = " and ".join(NAMES[label].lower() for label in sorted(self._case.edits.locked))
            why = f" Locked: {locked}." if locked else ""
            self._case.mask_changed.emit(None)  # measuring the mask was put off for the edit
            self.notified.emit(notices.INFO, f"{name}: nothing changes here.{why}", None)
        if more:
            self._compute()

    def _on_failed(self, kind: str, text: str) -> None:
        if kind == JobKind.EDIT:
            self._edits.pop(0)
            self.notified.emit(notices.ERROR, text, None)
            self._compute()

    def _forget_notice(self) -> None:
        self.notified.emit("", "", None)

    def _drop(self) -> None:
        self._edits.clear()
        self._jobs.stop_waiting_jobs(JobKind.EDIT)
