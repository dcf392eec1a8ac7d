"""Exports the mask of a DICOM series as DICOM objects."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QWidget

from kidneyseg.errors import KidneySegError
from kidneyseg_gui.case import Case
from kidneyseg_gui.files import proposed_mask
from kidneyseg_gui.jobs import JobKind
from kidneyseg_gui.logs import log_failure, sentence
from kidneyseg_gui.outcomes import Saving
from kidneyseg_gui.panels import notices
from kidneyseg_gui.prompts import Prompts
from kidneyseg_gui.worker import JobRunner

_MASK = "_mask.nii.gz"


class DicomKind(NamedTuple):
    """A kind of DICOM object."""

    word: str  #: of `kidneyseg.dicom_export.formats.Format`
    text: str  #: in the menu
    ending: str  #: of the proposed name, after the case's name


KINDS = (
    DicomKind("seg", "&Segmentation (SEG)…", "_seg.dcm"),
    DicomKind("labelmap", "&Label map (SEG)…", "_labelmap.dcm"),
    DicomKind("rtstruct", "S&tructures (RTSTRUCT)…", "_rtstruct.dcm"),
    DicomKind("sr", "&Measurements (SR)…", "_sr.dcm"),
    DicomKind("images", "&Key images…", "_key.dcm"),
)


class DicomFiles(QObject):
    """Connects the menu's DICOM exports with the case.

    Signals:
        notified, written: as of the controller.
    """

    notified = Signal(str, str, object)
    written = Signal(object, int)

    def __init__(self, case: Case, jobs: JobRunner, prompts: Prompts, window: QWidget) -> None:
        super().__init__(window)
        self._case, self._jobs = case, jobs
        self._prompts, self._window = prompts, window
        self._exporting: Saving | None = None
        jobs.objects_exported.connect(self._on_exported)

    @property
    def possible(self) -> bool:
        """Whether there is a mask of a DICOM series, and nothing else in hand."""
        case = self._case
        return self._jobs.free and case.mask is not None and case.volume is not None and case.volume.series is not None

    def ask_export(self, kind: DicomKind) -> None:
        """Let the user choose where an object goes, and write it."""
        case = self._case
        if not self.possible or case.volume is None or case.edits.mask is None:
            return
        case.edits.finish_stroke()
        mask = proposed_mask(case)
        path = self._prompts.save_dicom(self._window, mask.with_name(mask.name.removesuffix(_MASK) + kind.ending))
        if path is None:
            return
        try:
            there = self._jobs.check_objects(case.volume, kind.word, path)
        except KidneySegError as error:
            log_failure(JobKind.EXPORT, error)
            self.notified.emit(notices.ERROR, f"Not exported. {sentence(error)}", None)
            return
        if there and not self._may_replace(there):
            return
        origin = case.edits.origin
        saving = Saving(case.edits.mask, origin.result, origin.provenance, case.edits.mask.version, None)
        self._exporting = saving
        self._jobs.export_objects(saving, case.volume, kind.word, path)

    def _may_replace(self, there: list[Path]) -> bool:
        names = " and ".join(path.name for path in there)
        text = f"{'They exist' if len(there) > 1 else 'It exists'} already in {there[0].parent}."
        return self._prompts.confirm(self._window, f"Replace {names}?", text, "Replace", "Cancel")

    def _on_exported(self, written: list[Path]) -> None:
        if not written:
            self.notified.emit(notices.WARNING, "There are no findings, so there is no key image.", None)
            return
        if self._exporting is not None and self._exporting.mask is self._case.edits.mask:
            self.written.emit(written, self._exporting.version)
        folder = QUrl.fromLocalFile(str(written[0].parent))
        show = ("Show in folder", lambda: QDesktopServices.openUrl(folder))
        first = str(written[0])
        more = "".join(f", {path.name}" for path in written[1:])
        self.notified.emit(notices.DONE, f"Written for the PACS: {first}{more}", show)
