"""Carries out what the user asks for, and reports the outcome in a sentence."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QWidget

from kidneyseg.errors import FileChangedError, KidneySegError
from kidneyseg.imaging.volume import UNCALIBRATED, Volume
from kidneyseg.plurals import counted
from kidneyseg_gui.case import Case
from kidneyseg_gui.files import proposed_mask, read_settings, write_settings
from kidneyseg_gui.jobs import JobKind
from kidneyseg_gui.leaving import Leaving
from kidneyseg_gui.logs import keep_private, log_failure, sentence
from kidneyseg_gui.options import Options
from kidneyseg_gui.outcomes import Saved, Saving, Segmented
from kidneyseg_gui.panels import notices
from kidneyseg_gui.prompts import Prompts
from kidneyseg_gui.widgets import single_shot
from kidneyseg_gui.wording import in_the_windows_words
from kidneyseg_gui.worker import JobRunner

if TYPE_CHECKING:
    from kidneyseg.editing.mask import EditedMask
    from kidneyseg.findings import Findings
    from kidneyseg.settings import Settings
    from kidneyseg_gui.scene import Scene

log = logging.getLogger(__name__)
_DEBOUNCE_MS = 300
_FOLLOW_MS = 120


class Controller(QObject):
    """Connects the case with the job runner, the options and the dialogs.

    Signals:
        notified: kind, sentence and button of a notice; an empty sentence takes the last notice away.
        cancelling: the user has cancelled, the work has not stopped yet.
        written: the paths that the mask was written to, and its version.
        mask_wanted: the path of a mask that is to be laid over the open CT.
    """

    notified = Signal(str, str, object)
    written = Signal(object, int)
    cancelling = Signal()
    mask_wanted = Signal(object)

    def __init__(self, case: Case, jobs: JobRunner, options: Options, prompts: Prompts, window: QWidget) -> None:
        super().__init__(window)
        self._case, self._jobs, self._options, self._prompts, self._window = case, jobs, options, prompts, window
        self.leaving = Leaving(case, jobs, prompts, window)
        self._opening: Path | None = None
        self._debounce = single_shot(self, _DEBOUNCE_MS, self.update_result)
        self._following = single_shot(self, _FOLLOW_MS, self._follow_mask)
        case.settings_changed.connect(self._debounce.start)
        case.mask_changed.connect(lambda _box: self._following.start())
        case.result_changed.connect(self._following.start)
        jobs.opened.connect(self._on_opened)
        jobs.label_map_found.connect(self._on_label_map)
        jobs.segmented.connect(self._on_segmented)
        jobs.measured.connect(self._on_measured)
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

    def ask_open_study(self) -> None:
        """Let the user choose a folder with a DICOM study, and open it."""
        recent = self._options.recent
        path = self._prompts.open_study(self._window, recent[0].parent if recent else Path.home())
        if path is not None:
            self.open(path)

    def open(self, path: Path | None, hu_offset: int | None = None, series: str | None = None) -> None:
        """Open a CT, the sample case for None. The open case stays until the new one is loaded.

        `hu_offset` is added to the file's values; None adds what they need. `series` is that of a DICOM study; None
        asks where there are several.

        What would be lost is asked about then: a label map does not replace the case.
        """
        if path is not None and not path.exists():
            self._options.forget(path)
            self.notified.emit(notices.ERROR, f"{path.name} is not there any more: {path}", None)
            return
        if not self.leaving.may_stop(f"Open {'the sample case' if path is None else path.name}?", "Open"):
            return
        self._opening = path
        self._jobs.open(path, hu_offset, series)

    def read_as_stored(self) -> None:
        """Open the CT again, without the offset that was added to its values."""
        volume = self._case.volume
        if volume is not None and volume.path is not None:
            self.open(volume.path, hu_offset=0, series=volume.series)

    def _on_opened(self, volume: Volume) -> None:
        if not self.leaving.may_leave("Open another CT?", "Open"):
            return
        if self._opening is not None:
            self._options.remember(self._opening.resolve())
        log.info("opened a CT of %s voxels", "×".join(str(n) for n in volume.shape))
        self._case.open(volume)
        self.notified.emit("", "", None)
        mask = proposed_mask(self._case)
        if mask.exists():
            action = ("Open it", lambda: self.mask_wanted.emit(mask))
            self.notified.emit(notices.INFO, f"There is a mask of this CT: {mask.name}.", action)

    def _on_label_map(self, _path: Path, problem: str) -> None:
        if self._case.volume is None:  # else it is a mask of the CT that is open, see `MaskFiles`
            self._on_failed(JobKind.OPEN, problem)

    # Segmenting

    def segment(self) -> None:
        """Run the whole pipeline on the open CT; stages that are still valid are re-used."""
        if self._case.volume is not None and self._jobs.free:
            self.notified.emit("", "", None)
            self._run(self._case.settings, self._case.device)

    def update_result(self) -> None:
        """Bring the mask up to date with changed cluster and fill settings, without running a network."""
        settings = self._case.quick_update
        if settings is not None and self._case.volume is not None and self._jobs.free:
            self._run(settings, self._case.device_of_result, update=True)

    def _run(self, settings: Settings, device: str, *, update: bool = False) -> None:
        if self._case.volume is not None and self._case.edits.mask is not None:
            self._jobs.segment(self._case.volume, settings, device, self._case.edits.mask, update=update)

    def cancel(self) -> None:
        """Stop the work in hand; the open case and its result stay."""
        if self._jobs.busy in (JobKind.OPEN, JobKind.SEGMENT, JobKind.UPDATE):
            self._jobs.cancel()
            self.cancelling.emit()

    def _on_segmented(self, made: Segmented) -> None:
        edits = self._case.edits
        if edits.mask is None:
            return
        if edits.mask.version != made.version:  # an edit while the networks ran has changed what the result changes
            self._jobs.lay_again(made, edits.mask)
            return
        name = "Change settings" if made.update else "Segment"
        from_file = edits.from_file
        self._case.set_result(made.result, made.device, made.change, made.provenance, name)
        kept = f"Your edits were kept: {counted(edits.by_hand, 'voxel')}." if edits.by_hand else ""
        if from_file:
            self._case.set_saved(None, clean=False)  # that file is not replaced without a question
            text = "This result has taken the place of the mask that was opened or recovered; undo brings that back."
            self.notified.emit(notices.WARNING, f"{text} {kept}".rstrip(), None)
        elif kept and not made.update:
            self.notified.emit(notices.INFO, kept, ("Discard my edits", edits.discard))
        if self._case.quick_update is not None:  # a setting was changed while this was running
            self._debounce.start()

    # Following the mask

    def _follow_mask(self) -> None:
        """Measure the mask and rebuild its 3-D objects."""
        case = self._case
        if case.volume is not None and case.edits.mask is not None and case.mask is not None:
            self._jobs.follow(case.edits.mask, case.result, case.scene, case.volume)

    def _on_measured(self, mask: EditedMask, findings: Findings) -> None:
        if mask is self._case.edits.mask:  # not of a case that has been replaced
            self._case.set_findings(findings)

    def _on_scene(self, mask: EditedMask, scene: Scene) -> None:
        if mask is self._case.edits.mask:
            self._case.set_scene(scene)

    # Exporting

    def ask_export(self) -> None:
        """Let the user choose where the mask goes, and write it."""
        case = self._case
        if case.mask is None or case.volume is None or case.edits.mask is None:
            return
        case.edits.finish_stroke()
        path = self._prompts.save_mask(self._window, case.saved.path if case.saved else proposed_mask(case))
        if path is None:
            return
        expected = case.saved if case.saved is not None and case.saved.path == path.resolve() else None
        try:
            sidecar = self._jobs.check_export(case.volume, path, expected)
            # Its own file is replaced without a question, if nobody has changed it.
            replaces = (expected is not None and path.exists()) or self._may_replace(path, sidecar)
        except FileChangedError:
            text = "Another program, or another window, has changed it since it was opened or saved here."
            replaces, expected = self._confirm_replacing(path.name, text), None
        except KidneySegError as error:
            log_failure(JobKind.EXPORT, error)
            self._on_failed(JobKind.EXPORT, sentence(error))
            return
        if replaces:
            origin = case.edits.origin
            saving = Saving(case.edits.mask, origin.result, origin.provenance, case.edits.mask.version, expected)
            self._jobs.export(saving, case.volume, path)

    def _may_replace(self, *paths: Path) -> bool:
        """Whether these files may be written; asks once about all that exist."""
        there = [path.name for path in paths if path.exists()]
        if not there:
            return True
        text = f"{'They exist' if len(there) > 1 else 'It exists'} already in {paths[0].parent}."
        return self._confirm_replacing(" and ".join(there), text)

    def _confirm_replacing(self, names: str, text: str) -> bool:
        return self._prompts.confirm(self._window, f"Replace {names}?", text, "Replace", "Cancel")

    def _on_exported(self, made: Saved) -> None:
        mask = self._case.edits.mask
        if mask is made.mask:
            self._case.set_saved(made.stamp, clean=mask.version == made.version)
            self.written.emit([made.path], made.version)
        folder = QUrl.fromLocalFile(str(made.path.parent))
        show = ("Show in folder", lambda: QDesktopServices.openUrl(folder))
        kind = notices.ERROR if made.problem else notices.DONE
        self.notified.emit(kind, made.problem or f"The mask is saved: {made.path}", show)

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
        if kind == JobKind.EDIT:  # the edit queue says so
            return
        lead = {JobKind.OPEN: "Not opened. ", JobKind.EXPORT: "The mask was not saved. "}.get(JobKind(kind), "")
        self.notified.emit(notices.ERROR, lead + text, None)

    def _on_cancelled(self, kind: str) -> None:
        if kind == JobKind.SEGMENT:
            kept = " The result from before is still shown." if self._case.result is not None else ""
            self.notified.emit(notices.INFO, "The segmentation was cancelled." + kept, None)

    def may_close(self) -> bool:
        """Whether the window may close; asks when work runs or a result is not saved."""
        return self.leaving.may_leave("Close KidneySeg?", "Close")

    def warnings(self) -> dict[str, tuple[str, ...]]:
        """What the user should know of the open CT ("volume") and of its mask ("result")."""
        volume, result, findings = self._case.volume, self._case.result, self._case.findings
        of_volume = () if volume is None else volume.notes
        if volume is not None and not volume.calibrated:
            of_volume = (UNCALIBRATED, *of_volume)
        measured = () if result is None else result.findings.sentences()  # of the mask as the networks made it
        notes = [note for note in (() if result is None else result.notes) if note not in (*of_volume, *measured)]
        found = () if findings is None or (result is None and not findings.kidneys) else findings.sentences()
        return {"volume": of_volume, "result": tuple(in_the_windows_words(note) for note in (*notes, *found))}
