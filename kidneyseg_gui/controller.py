"""Between the case and the engine: opens, segments, updates and exports, and says in a sentence what came of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QWidget

from kidneyseg_gui import worker
from kidneyseg_gui.case import Case
from kidneyseg_gui.files import proposed_mask
from kidneyseg_gui.options import Options
from kidneyseg_gui.panels import notices
from kidneyseg_gui.prompts import Prompts
from kidneyseg_gui.worker import Engine

log = logging.getLogger(__name__)
_DEBOUNCE_MS = 300
_UNCALIBRATED = "This image is not calibrated in HU; kidneys and tumours may be missed or misplaced."


class Controller(QObject):
    """Carries out what the user asks of the window."""

    said = Signal(str, str, object)
    cancelling = Signal()

    def __init__(self, case: Case, engine: Engine, options: Options, prompts: Prompts, window: QWidget) -> None:
        super().__init__(window)
        self._case, self._engine, self._options, self._prompts, self._window = case, engine, options, prompts, window
        self._opening: Path | None = None
        self._debounce = QTimer(self, singleShot=True, interval=_DEBOUNCE_MS)
        self._debounce.timeout.connect(self.update_result)
        case.settings_changed.connect(self._debounce.start)
        engine.opened.connect(self._on_opened)
        engine.segmented.connect(self._on_segmented)
        engine.scene_ready.connect(self._on_scene)
        engine.exported.connect(self._on_exported)
        engine.failed.connect(self._on_failed)
        engine.cancelled.connect(self._on_cancelled)

    # Opening

    def ask_open(self) -> None:
        """Let the user choose a CT."""
        recent = self._options.recent
        folder = str(recent[0].parent) if recent else str(Path.home())
        path = self._prompts.open_file(self._window, folder)
        if path is not None:
            self.open(path)

    def open(self, path: Path | None) -> None:
        """Open a CT, the sample case for None; an open case stays until the new one is there."""
        if path is not None and not path.exists():
            self._options.forget(path)
            self.said.emit(notices.ERROR, f"{path.name} is not there any more: {path}", None)
            return
        if not self._may_leave("Open another CT?", "Open"):
            return
        self._opening = path
        self._engine.open(path)

    def _on_opened(self, volume: Any) -> None:
        if self._opening is not None:
            self._options.remember(self._opening.resolve())
        log.info("opened a CT of %s voxels", "×".join(str(n) for n in volume.shape))
        self._case.open(volume)
        self.said.emit("", "", None)

    # Segmenting

    def segment(self) -> None:
        """Run the whole pipeline on the open CT; stages that are still valid are re-used."""
        if self._case.volume is None or self._engine.busy in (worker.OPEN, worker.SEGMENT, worker.EXPORT):
            return
        self.said.emit("", "", None)
        self._engine.segment(self._case.volume, self._case.settings, self._case.device)

    def update_result(self) -> None:
        """Bring the mask up to date with changed cluster and fill settings; no network runs for that."""
        settings = self._case.quick_update
        if (
            settings is None
            or self._case.volume is None
            or self._engine.busy in (worker.OPEN, worker.SEGMENT, worker.EXPORT)
        ):
            return
        self._engine.segment(self._case.volume, settings, self._case.device_of_result, update=True)

    def cancel(self) -> None:
        """Stop the work in hand; what was there before stays."""
        if self._engine.busy in (worker.OPEN, worker.SEGMENT, worker.UPDATE):
            self._engine.cancel()
            self.cancelling.emit()

    def _on_segmented(self, result: Any, device: str) -> None:
        self._case.set_result(result, device)
        if self._case.quick_update is not None:  # a setting was changed while this was running
            self._debounce.start()

    def _on_scene(self, scene: Any) -> None:
        if scene.result is self._case.result:  # not of a case, or a result, that has gone meanwhile
            self._case.set_scene(scene)

    # Exporting

    def ask_export(self) -> None:
        """Let the user choose where the mask goes, and write it."""
        if self._case.result is None or self._case.volume is None:
            return
        path = self._prompts.save_file(self._window, proposed_mask(self._case))
        if path is not None:
            self._engine.export(self._case.result, self._case.volume, path)

    def _on_exported(self, path: Path) -> None:
        self._case.mark_saved()
        folder = QUrl.fromLocalFile(str(path.parent))
        show = ("Show in folder", lambda: QDesktopServices.openUrl(folder))
        self.said.emit(notices.DONE, f"The mask is saved: {path}", show)

    # Endings

    def _on_failed(self, kind: str, text: str) -> None:
        lead = {worker.OPEN: "Not opened. ", worker.EXPORT: "The mask was not saved. "}.get(kind, "")
        self.said.emit(notices.ERROR, lead + text, None)

    def _on_cancelled(self, kind: str) -> None:
        if kind == worker.SEGMENT:
            kept = " The result from before is still shown." if self._case.result is not None else ""
            self.said.emit(notices.INFO, "The segmentation was cancelled." + kept, None)

    def may_close(self) -> bool:
        """Whether the window may close; asks when work runs or a result is not saved."""
        return self._may_leave("Close KidneySeg?", "Close")

    def _may_leave(self, question: str, go_on: str) -> bool:
        if self._engine.busy == worker.SEGMENT:
            text = "The segmentation is still running and would be stopped."
        elif self._engine.busy == worker.EXPORT:
            text = "The mask is still being saved."
        elif self._case.dirty:
            text = "The mask has not been exported and would be lost."
        else:
            return True
        return self._prompts.confirm(self._window, question, text, go_on, "Stay")

    def facts(self) -> dict[str, tuple[str, ...]]:
        """What the user should know of the open CT and of its result."""
        volume, result = self._case.volume, self._case.result
        about_volume = (_UNCALIBRATED,) if volume is not None and not volume.calibrated else ()
        notes = (
            () if result is None else tuple(note for note in result.notes if "calibrat" not in note or not about_volume)
        )
        return {"volume": about_volume, "result": notes}
