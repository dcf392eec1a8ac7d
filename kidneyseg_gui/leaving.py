"""Asks before the open case is left with work that is not saved."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from kidneyseg_gui.case import Case
from kidneyseg_gui.jobs import JobKind
from kidneyseg_gui.prompts import Prompts
from kidneyseg_gui.worker import JobRunner

_STOPPED: dict[JobKind | None, str] = {
    JobKind.EXPORT: "The mask is still being saved.",
    JobKind.SEGMENT: "The segmentation is still running and would be stopped.",
}


class Leaving:
    """What would be lost by leaving the open case, and whether the user agrees to that."""

    def __init__(self, case: Case, jobs: JobRunner, prompts: Prompts, window: QWidget) -> None:
        self._case, self._jobs, self._prompts, self._window = case, jobs, prompts, window
        self._agreed_to: object = None

    def may_leave(self, question: str, go_on: str) -> bool:
        """Whether the open case may be left; asks about what would be lost, again if that has changed meanwhile."""
        if not self._agrees(self._lost, question, go_on):
            return False
        self._agreed_to = self._state()
        return True

    def may_stop(self, question: str, go_on: str) -> bool:
        """Whether the running work may be stopped; the open case stays."""
        return self._agrees(self._stopped, question, go_on)

    def may_leave_now(self, question: str, go_on: str) -> bool:
        """As `may_leave`, but asks only about what was edited since that was agreed to, while another case loaded."""
        editing = self._jobs.computing(JobKind.EDIT)
        return (not editing and self._agreed_to == self._state()) or self.may_leave(question, go_on)

    def _agrees(self, at_stake: Callable[[], str], question: str, go_on: str) -> bool:
        agreed = ""
        while (lost := at_stake()) not in ("", agreed):
            if not self._prompts.confirm(self._window, question, lost, go_on, "Stay"):
                return False
            agreed = lost  # while the question was open a run may have ended, with a mask that nobody has seen
        return True

    def _state(self) -> object:
        self._case.edits.finish_stroke()
        mask = self._case.edits.mask
        return None if mask is None else (mask, mask.version)

    def _stopped(self) -> str:
        return _STOPPED.get(self._jobs.busy, "")

    def _lost(self) -> str:
        if self._jobs.busy == JobKind.EXPORT:
            return self._stopped()
        losses = (
            (bool(self._stopped()), self._stopped()),
            (self._jobs.computing(JobKind.EDIT), "A correction is still being computed and would be lost."),
            (self._case.dirty, "The mask has not been exported and would be lost."),
        )
        return " ".join(text for at_stake, text in losses if at_stake)
