"""Carries out what the user asks for, and reports the outcome in a sentence."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QWidget

from kidneyseg.errors import KidneySegError
from kidneyseg.imaging.volume import UNCALIBRATED, Volume
from kidneyseg_gui.case import Case
from kidneyseg_gui.files import proposed_mask, read_settings, write_settings
from kidneyseg_gui.logs import keep_private, log_failure, sentence
from kidneyseg_gui.options import Options
from kidneyseg_gui.panels import notices
from kidneyseg_gui.prompts import Prompts
from kidneyseg_gui.widgets import single_shot
from kidneyseg_gui.wording import in_the_windows_words
from kidneyseg_gui.worker import JobKind, JobRunner

if TYPE_CHECKING:
    from kidneyseg_gui.protocols import Result
    from kidneyseg_gui.scene import Scene

log = logging.getLogger(__name__)
_DEBOUNCE_MS = 300


class Controller(QObject):
    """Connects the case with the job runner, the options and the dialogs.

    Signals:
        notified: kind, sentence and button of a notice; an empty sentence takes the last notice away.
        cancelling: the user has cancelled, the work has not stopped yet.
    """

    notified = Signal(str, str, object)
    cancelling = Signal()

    def __init__(self, case: Case, jobs: JobRunner, options: Options, prompts: Prompts, window: QWidget) -> None:
        super().__init__(window)
        self._case, self._jobs, self._options, self._prompts, self._window = case, jobs, options, prompts, window
        self._opening: Path | None = None
        self._debounce = single_shot(self, _DEBOUNCE_MS, self.update_result)
        case.settings_changed.connect(self._debounce.start)
        jobs.opened.connect(self._on_opened)
        jobs.segmented.connect(self._on_segmented)
        jobs.scene_ready.connect(self._on_scene)
        jobs.exported.connect(self._on_exported)
        jobs.failed.connect(self._on_failed)
        jobs.cancelled.connect(self._on_cancelled)

    # Opening

    def ask_open(self) -> None:
        """Let the user choose a CT, and open it."""
        recent = self._options.recent
        path = self._prompts.open_file(self._window, recent[0].parent if recent else Path.home())
        if path is not None:
            self.open(path)

    def open(self, path: Path | None) -> None:
        """Open a CT, the sample case for None. The open case stays until the new one is loaded."""
        if path is not None and not path.exists():
            self._options.forget(path)
            self.notified.emit(notices.ERROR, f"{path.name} is not there any more: {path}", None)
            return
        if not self._may_leave("Open another CT?", "Open"):
            return
        self._opening = path
        self._jobs.open(path)

    def _on_opened(self, volume: Volume) -> None:
        if self._opening is not None:
            self._options.remember(self._opening.resolve())
        log.info("opened a CT of %s voxels", "×".join(str(n) for n in volume.shape))
        self._case.open(volume)
        self.notified.emit("", "", None)

    # Segmenting

    def segment(self) -> None:
        """Run the whole pipeline on the open CT; stages that are still valid are re-used."""
        if self._case.volume is not None and self._jobs.busy in (None, JobKind.UPDATE):
            self.notified.emit("", "", None)
            self._jobs.segment(self._case.volume, self._case.settings, self._case.device)

    def update_result(self) -> None:
        """Bring the mask up to date with changed cluster and fill settings, without running a network."""
        settings = self._case.quick_update
        if settings is not None and self._case.volume is not None and self._jobs.busy in (None, JobKind.UPDATE):
            self._jobs.segment(self._case.volume, settings, self._case.device_of_result, update=True)

    def cancel(self) -> None:
        """Stop the work in hand; the open case and its result stay."""
        if self._jobs.busy in (JobKind.OPEN, JobKind.SEGMENT, JobKind.UPDATE):
            self._jobs.cancel()
            self.cancelling.emit()

    def _on_segmented(self, result: Result, device: str) -> None:
        self._case.set_result(result, device)
        if self._case.quick_update is not None:  # a setting was changed while this was running
            self._debounce.start()

    def _on_scene(self, scene: Scene) -> None:
        if scene.result is self._case.result:  # not of a case, or a result, that has been replaced
            self._case.set_scene(scene)

    # Exporting

    def ask_export(self) -> None:
        """Let the user choose where the mask goes, and write it."""
        if self._case.result is None or self._case.volume is None:
            return
        path = self._prompts.save_mask(self._window, proposed_mask(self._case))
        if path is None:
            return
        try:
            sidecar = self._jobs.check_export(self._case.volume, path)
        except KidneySegError as error:
            log_failure(JobKind.EXPORT, error)
            self._on_failed(JobKind.EXPORT, sentence(error))
            return
        if self._may_replace(path, sidecar):
            self._jobs.export(self._case.result, self._case.volume, path)

    def _may_replace(self, *paths: Path) -> bool:
        """Whether these files may be written; asks once about all that exist."""
        there = [path.name for path in paths if path.exists()]
        if not there:
            return True
        text = f"{'They exist' if len(there) > 1 else 'It exists'} already in {paths[0].parent}."
        return self._prompts.confirm(self._window, f"Replace {' and '.join(there)}?", text, "Replace", "Cancel")

    def _on_exported(self, path: Path, problem: str) -> None:
        self._case.mark_saved()
        folder = QUrl.fromLocalFile(str(path.parent))
        show = ("Show in folder", lambda: QDesktopServices.openUrl(folder))
        kind, text = (notices.ERROR, problem) if problem else (notices.DONE, f"The mask is saved: {path}")
        self.notified.emit(kind, text, show)

    # Settings

    def ask_save_settings(self) -> None:
        """Let the user choose a file, and write the settings into it."""
        proposed = proposed_mask(self._case).with_name(f"kidneyseg-{self._case.settings.method}.json")
        path = self._prompts.save_settings(self._window, proposed)
        if path is None or not self._may_replace(path):
            return
        try:
            keep_private(path)
            write_settings(self._case.settings, path)
        except (KidneySegError, OSError) as error:
            log_failure("saving the settings", error)
            self.notified.emit(notices.ERROR, f"The settings were not saved: {sentence(error)}", None)
        else:
            self.notified.emit(notices.DONE, f"The settings are saved: {path}", None)

    def ask_load_settings(self) -> None:
        """Let the user choose a settings file or a mask's sidecar, and take its settings."""
        path = self._prompts.open_settings(self._window, proposed_mask(self._case).parent)
        if path is None:
            return
        try:
            keep_private(path)
            self._case.set_settings(read_settings(path))
        except (KidneySegError, OSError) as error:
            log_failure("loading settings", error)
            self.notified.emit(notices.ERROR, f"{path.name} was not loaded: {sentence(error)}", None)
        else:
            self.notified.emit(notices.DONE, f"The settings are those of {path.name}.", None)

    # Endings

    def _on_failed(self, kind: str, text: str) -> None:
        lead = {JobKind.OPEN: "Not opened. ", JobKind.EXPORT: "The mask was not saved. "}.get(JobKind(kind), "")
        self.notified.emit(notices.ERROR, lead + text, None)

    def _on_cancelled(self, kind: str) -> None:
        if kind == JobKind.SEGMENT:
            kept = " The result from before is still shown." if self._case.result is not None else ""
            self.notified.emit(notices.INFO, "The segmentation was cancelled." + kept, None)

    def may_close(self) -> bool:
        """Whether the window may close; asks when work runs or a result is not saved."""
        return self._may_leave("Close KidneySeg?", "Close")

    def _may_leave(self, question: str, go_on: str) -> bool:
        """Whether the open case may be left; asks about what would be lost, again if that has changed meanwhile."""
        agreed = ""
        while (lost := self._lost_by_leaving()) not in ("", agreed):
            if not self._prompts.confirm(self._window, question, lost, go_on, "Stay"):
                return False
            agreed = lost  # while the question was open a run may have ended, with a mask that nobody has seen
        return True

    def _lost_by_leaving(self) -> str:
        if self._jobs.busy == JobKind.EXPORT:
            return "The mask is still being saved."
        running = "The segmentation is still running and would be stopped."
        unsaved = "The mask has not been exported and would be lost."
        return " ".join([running] * (self._jobs.busy == JobKind.SEGMENT) + [unsaved] * self._case.dirty)

    def warnings(self) -> dict[str, tuple[str, ...]]:
        """What the user should know of the open CT ("volume") and of its result ("result")."""
        volume, result = self._case.volume, self._case.result
        of_volume = () if volume is None else volume.notes
        if volume is not None and not volume.calibrated:
            of_volume = (UNCALIBRATED, *of_volume)
        notes = () if result is None else result.notes
        of_result = tuple(in_the_windows_words(note) for note in notes if note not in of_volume)
        return {"volume": of_volume, "result": of_result}
