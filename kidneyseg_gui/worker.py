"""The engine in a thread of its own: opens, segments and exports while the window stays alive.

`Engine` lives in the window's thread and is all the window knows; `_Room` lives in the working thread and does one
`_Job` after the other. A cancelled job is given a second to notice; after that the window stops waiting for it and
drops whatever it still brings.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QThread, QTimer, Signal, Slot

from kidneyseg.errors import Cancelled, KidneySegError
from kidneyseg.progress import CallbackProgress, Progress

if TYPE_CHECKING:
    from kidneyseg.imaging.volume import Volume
    from kidneyseg.settings import Settings
    from kidneyseg_gui.services import Services

log = logging.getLogger(__name__)

OPEN, SEGMENT, UPDATE, EXPORT, SCENE, WARM_UP = "open", "segment", "update", "export", "scene", "warm up"
# Jobs the user did not ask for in so many words: they show no progress and do not count as work in hand.
QUIET = (SCENE, WARM_UP)
_PATIENCE_MS = 900
_REPORT_EVERY_S = 0.05


@dataclass(eq=False)
class _Job:
    kind: str
    work: Callable[[Progress], Any]
    note: Any = None
    stop: threading.Event = field(default_factory=threading.Event)


class _Room(QObject):
    """Does jobs in the working thread."""

    progressed = Signal(object, str, float, float)
    ended = Signal(object, object, object)

    @Slot(object)
    def do(self, job: _Job) -> None:
        """Do one job; `ended` carries its value or the exception that ended it."""
        value, error = None, None
        try:
            if job.stop.is_set():
                raise Cancelled
            value = job.work(CallbackProgress(_Reporter(job, self.progressed.emit), job.stop.is_set))
        except BaseException as caught:
            error = caught
        self.ended.emit(job, value, error)


class _Reporter:
    """Thins out progress reports and adds the seconds left, judged by the share that is done."""

    def __init__(self, job: _Job, emit: Callable[[_Job, str, float, float], None]) -> None:
        self._job, self._emit = job, emit
        self._began = time.monotonic()
        self._last, self._stage = 0.0, ""

    def __call__(self, stage: str, fraction: float) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._last < _REPORT_EVERY_S:
            return
        self._last, self._stage = now, stage
        spent = now - self._began
        left = spent * (1 - fraction) / fraction if fraction > 0.03 and spent > 1.0 else -1.0
        self._emit(self._job, stage, fraction, left)


class Engine(QObject):
    """What the window asks for, and what it hears back. All signals arrive in the window's thread."""

    opened = Signal(object)
    segmented = Signal(object, str)
    scene_ready = Signal(object)
    exported = Signal(object)
    failed = Signal(str, str)
    cancelled = Signal(str)
    progressed = Signal(str, str, float, float)
    busy_changed = Signal()
    _submitted = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._doors = services
        self._current: _Job | None = None
        self._quiet: list[_Job] = []
        self._pipeline: tuple[Any, str, Any] | None = None  # (volume, device, pipeline); the working thread's alone
        self._thread = QThread()
        self._thread.setObjectName("engine")
        self._room = _Room()
        self._room.moveToThread(self._thread)
        self._submitted.connect(self._room.do, Qt.ConnectionType.QueuedConnection)
        self._room.progressed.connect(self._on_progress, Qt.ConnectionType.QueuedConnection)
        self._room.ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._patience.timeout.connect(self._give_up_waiting)
        self._thread.start(QThread.Priority.LowPriority)

    @property
    def busy(self) -> str:
        """The kind of work in hand ("open", "segment", "update", "export"), "" when there is none."""
        return "" if self._current is None else self._current.kind

    def open(self, path: Path | None) -> None:
        """Load a CT; None makes (once) and loads the sample case."""

        def work(progress: Progress) -> Any:
            source = path
            if source is None:
                progress.show("Making the sample case", 0.0)
                source = self._doors.sample()
            progress.show(f"Opening {source.name}", 0.0)
            volume = self._doors.load(source)
            progress.check()
            self._pipeline = None
            return volume

        self._submit(_Job(OPEN, work, path))

    def segment(self, volume: Volume, settings: Settings, device: str, *, update: bool = False) -> None:
        """Run the pipeline; stages that the settings do not touch are re-used. `update` marks a quick re-run."""

        def work(progress: Progress) -> Any:
            if self._pipeline is None or self._pipeline[0] is not volume or self._pipeline[1] != device:
                progress.show("Loading the networks", 0.0)
                self._pipeline = (volume, device, self._doors.pipeline(volume, device))
            result = self._pipeline[2].run(settings, progress)
            progress.check()
            return result

        self._submit(_Job(UPDATE if update else SEGMENT, work, (volume, device)))

    def export(self, result: Any, volume: Volume, path: Path) -> None:
        """Write the mask and its sidecar."""

        def work(progress: Progress) -> Path:
            progress.show(f"Saving {path.name}", 0.0)
            self._doors.export(result, volume, path)
            return path

        self._submit(_Job(EXPORT, work))

    def warm_up(self) -> None:
        """Import what the first segmentation needs, so that it starts at once."""
        self._submit(_Job(WARM_UP, lambda _progress: self._doors.warm_up()))

    def cancel(self) -> None:
        """Ask the work in hand to stop; `cancelled` answers within a second."""
        if self._current is not None:
            self._current.stop.set()
            self._patience.start()

    def shutdown(self) -> None:
        """Stop all work and wait for the thread's end."""
        for job in [*self._quiet, *([self._current] if self._current else [])]:
            job.stop.set()
        self._current = None
        self._thread.quit()
        self._thread.wait()

    def _submit(self, job: _Job) -> None:
        if job.kind in QUIET:
            self._quiet.append(job)
        else:
            if self._current is not None:
                self._current.stop.set()  # the newest wish counts; the older one's end is no longer awaited
            self._current = job
            self._patience.stop()
            self.busy_changed.emit()
        self._submitted.emit(job)

    def _on_progress(self, job: _Job, stage: str, fraction: float, left: float) -> None:
        if job is self._current and not job.stop.is_set():
            self.progressed.emit(job.kind, stage, fraction, left)

    def _on_ended(self, job: _Job, value: Any, error: BaseException | None) -> None:
        if job in self._quiet:
            self._quiet.remove(job)
            self._end_quietly(job, value, error)
        elif job is self._current:
            self._current = None
            self._patience.stop()
            self._announce(job, value, error)
            self.busy_changed.emit()
        elif job.kind == EXPORT:  # a file that was written is news even when nobody waits any more
            self._announce(job, value, error)

    def _end_quietly(self, job: _Job, value: Any, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, Cancelled):
            log.error("%s failed", job.kind, exc_info=error)
        elif error is None and job.kind == SCENE and not job.stop.is_set():
            self.scene_ready.emit(value)

    def _announce(self, job: _Job, value: Any, error: BaseException | None) -> None:
        if isinstance(error, Cancelled) or (error is None and job.stop.is_set() and job.kind != EXPORT):
            self.cancelled.emit(job.kind)
        elif error is not None:
            log.error("%s failed", job.kind, exc_info=error)
            self.failed.emit(job.kind, sentence(error))
        elif job.kind == OPEN:
            self.opened.emit(value)
        elif job.kind == EXPORT:
            self.exported.emit(value)
        else:
            volume, device = job.note
            self.segmented.emit(value, device)
            self._prepare_scene(value, volume)

    def _prepare_scene(self, result: Any, volume: Volume) -> None:
        for job in self._quiet:
            if job.kind == SCENE:
                job.stop.set()
        self._submit(_Job(SCENE, lambda progress: self._doors.scene(result, volume, progress)))

    def _give_up_waiting(self) -> None:
        job, self._current = self._current, None
        if job is not None:
            self.cancelled.emit(job.kind)
            self.busy_changed.emit()


def sentence(error: BaseException) -> str:
    """One clear sentence for the user; the details go to the log."""
    if isinstance(error, KidneySegError):
        return str(error)
    if isinstance(error, MemoryError):
        return "There is not enough memory for this; close other programs, or use a machine with more memory."
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}."
    return f"Something unexpected went wrong ({type(error).__name__}: {error}); the log holds the details (Help menu)."
