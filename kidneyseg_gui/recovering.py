"""Offers the cases that a crash left behind, and brings one back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMenu

from kidneyseg.plurals import counted
from kidneyseg_gui.autosave import Autosave, RecoveredCase
from kidneyseg_gui.leaving import Leaving
from kidneyseg_gui.logs import keep_private
from kidneyseg_gui.panels import notices
from kidneyseg_gui.worker import JobRunner

if TYPE_CHECKING:
    from kidneyseg.editing.recovery import Abandoned

_RECOVER_ANOTHER = ("Recover another case?", "Recover")


class Recovering(QObject):
    """Connects the autosaved cases with the case.

    Signals:
        notified: as of the controller.
        offered: the same, of what can be recovered; it stays until it is taken or dismissed.
    """

    notified = Signal(str, str, object)
    offered = Signal(str, str, object)

    def __init__(self, jobs: JobRunner, autosave: Autosave, leaving: Leaving, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs, self._autosave, self._leaving = jobs, autosave, leaving
        jobs.recovered.connect(self._on_recovered)

    def offer(self) -> None:
        """Remove old journals, and offer the newest of those that ended processes have left."""
        from kidneyseg.editing.recovery import prune  # noqa: PLC0415 - after the first paint

        prune(self._autosave.folder)
        found = self._abandoned()
        if found:
            action = ("Recover", lambda: self.recover(found[0].path))
            self.offered.emit(notices.WARNING, f"{describe(found[0])} was not closed. Its edits are kept.", action)

    def fill(self, menu: QMenu) -> None:
        """List what can be recovered, newest first."""
        menu.clear()
        for one in self._abandoned():
            action = menu.addAction(describe(one))
            action.triggered.connect(lambda _checked=False, path=one.path: self.recover(path))
        if menu.isEmpty():
            menu.addAction("Nothing to recover").setEnabled(False)

    def recover(self, journal: Path) -> None:
        """Open an autosaved case with its mask, settings and undo stack."""
        if self._leaving.may_leave(*_RECOVER_ANOTHER):
            self._jobs.recover(journal)

    def _on_recovered(self, kept: RecoveredCase) -> None:
        from kidneyseg.editing.recovery import remove  # noqa: PLC0415 - after the first paint

        self.offered.emit("", "", None)
        if not self._leaving.may_leave_now(*_RECOVER_ANOTHER):
            return
        self._autosave.restore(kept)
        if self._autosave.flush():
            remove(kept.recovered.path)
        steps = counted(kept.recovered.position, "step")
        self.notified.emit(notices.DONE, f"{kept.volume.name} is as it was, with {steps} that can be undone.", None)

    def _abandoned(self) -> list[Abandoned]:
        from kidneyseg.editing.recovery import find_abandoned  # noqa: PLC0415 - after the first paint

        found = find_abandoned(self._autosave.folder)
        for one in found:
            if one.ct_path is not None:
                keep_private(one.ct_path)
        return found


def describe(one: Abandoned) -> str:
    """An autosaved case in words."""
    name = "A case" if one.ct_path is None else one.ct_path.name
    return f"{name} ({time.strftime('%d %b %H:%M', time.localtime(one.saved))})"
