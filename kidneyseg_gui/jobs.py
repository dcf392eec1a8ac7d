"""Jobs in two working threads: one after the other, with progress, and cancelled within a second.

What follows the user's hand has a thread of its own, so that it does not wait for the networks. `JobQueue` lives in the
window's thread; a `Worker` lives in each working thread. A cancelled job gets a second to stop; then the window stops
waiting and drops what it still brings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from PySide6.QtCore import QObject, Qt, QThread, Signal, Slot

from kidneyseg.errors import Cancelled
from kidneyseg.progress import CallbackProgress, Progress
from kidneyseg_gui.logs import log_failure, sentence
from kidneyseg_gui.widgets import single_shot

_PATIENCE_MS = 900
_REPORT_EVERY_S = 0.05


class JobKind(StrEnum):
    """What a job does."""

    OPEN = "open"
    SEGMENT = "segment"
    UPDATE = "update"
    EXPORT = "export"
    EDIT = "edit"
    MEASURE = "measure"
    SCENE = "scene"
    COMPARE = "compare"
    WARM_UP = "warm up"


# These have a thread of their own. They need a CT and its mask, and import nothing that the other thread imports.
_EDITING = (JobKind.EDIT, JobKind.MEASURE, JobKind.SCENE, JobKind.COMPARE)
# These run without progress, and do not count as work in hand.
_BACKGROUND = (*_EDITING, JobKind.WARM_UP)


@dataclass(eq=False)
class Job:
    """What a working thread does, and what becomes of its value in the window's thread."""

    kind: JobKind
    work: Callable[[Progress], Any]
    announce: Callable[[Any], None] = lambda _value: None  # called in the window's thread with what `work` returned
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Ask the work to stop. An export always runs to its end: it cannot be made good once the case is closed."""
        if self.kind != JobKind.EXPORT:
            self.stopped.set()


class Worker(QObject):
    """Does jobs in a thread of its own.

    Signals:
        submitted: a Job to do. ending: the thread is to end after the jobs that were submitted before.
        progressed: a Job, stage, fraction and seconds left. ended: a Job, its value and the exception that ended it.
    """

    submitted = Signal(object)
    ending = Signal()
    progressed = Signal(object, str, float, float)
    ended = Signal(object, object, object)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.own_thread = QThread()
        self.own_thread.setObjectName(name)
        self.moveToThread(self.own_thread)
        self.submitted.connect(self.do, Qt.ConnectionType.QueuedConnection)
        self.ending.connect(self.end, Qt.ConnectionType.QueuedConnection)
        self.own_thread.start(QThread.Priority.LowPriority)

    @Slot(object)
    def do(self, job: Job) -> None:
        """Do one job; `ended` carries its value or the exception that ended it."""
        value, error = None, None
        try:
            progress = CallbackProgress(_Reporter(job, self.progressed.emit), job.stopped.is_set)
            progress.check()
            value = job.work(progress)
        except BaseException as caught:
            error = caught
        self.ended.emit(job, value, error)

    @Slot()
    def end(self) -> None:
        """End the thread, once the jobs that were submitted before are done."""
        QThread.currentThread().quit()


class _Reporter:
    """Thins out progress reports and adds the seconds left, estimated from the share that is done; -1 if unknown."""

    def __init__(self, job: Job, emit: Callable[[Job, str, float, float], None]) -> None:
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


class JobQueue(QObject):
    """Runs jobs and signals how they end. All signals arrive in the window's thread.

    Signals:
        failed: kind and a sentence for the user. cancelled: kind.
        progressed: kind, stage, fraction (0...1) and seconds left (-1 if unknown).
        busy_changed: `busy` is another kind.
    """

    failed = Signal(str, str)
    cancelled = Signal(str)
    progressed = Signal(str, str, float, float)
    busy_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._current: Job | None = None
        self._background: list[Job] = []
        self._worker, self._editor = Worker("worker"), Worker("editor")
        for worker in (self._worker, self._editor):
            worker.progressed.connect(self._on_progress, Qt.ConnectionType.QueuedConnection)
            worker.ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)
        self._patience = single_shot(self, _PATIENCE_MS, self._stop_waiting)

    @property
    def busy(self) -> JobKind | None:
        """The kind of the work in hand, None when there is none."""
        return None if self._current is None else self._current.kind

    @property
    def free(self) -> bool:
        """Whether work on the open case can begin: an update of its mask gives way."""
        return self.busy in (None, JobKind.UPDATE)

    @property
    def in_background(self) -> bool:
        """Whether background jobs are waiting or running."""
        return bool(self._background)

    def computing(self, kind: JobKind) -> bool:
        """Whether background jobs of this kind are waiting or running."""
        return any(job.kind == kind and not job.stopped.is_set() for job in self._background)

    def cancel(self) -> None:
        """Stop the work in hand, unless it is an export; `cancelled` is emitted within a second."""
        if self._current is not None and self._current.kind != JobKind.EXPORT:
            self._current.stop()
            self._patience.start()

    def shutdown(self) -> None:
        """Stop all work but an export, and wait for the threads' end."""
        for job in [*self._background, *([self._current] if self._current else [])]:
            job.stop()
        self._current = None
        for worker in (self._worker, self._editor):
            worker.ending.emit()  # not `quit()`, which overtakes an export that still waits in the thread's queue
        for worker in (self._worker, self._editor):
            worker.own_thread.wait()

    def submit(self, job: Job) -> None:
        """Run a job after those before it in its thread; one with progress stops an earlier one with progress."""
        if job.kind in _BACKGROUND:
            self._background.append(job)
        else:
            if self._current is not None:
                self._current.stop()  # a newer job replaces an older one
            self._current = job
            self._patience.stop()
            self.busy_changed.emit()
        (self._editor if job.kind in _EDITING else self._worker).submitted.emit(job)

    def _on_progress(self, job: Job, stage: str, fraction: float, left: float) -> None:
        if job is self._current and not job.stopped.is_set():
            self.progressed.emit(job.kind, stage, fraction, left)

    def _on_ended(self, job: Job, value: Any, error: BaseException | None) -> None:
        if job in self._background:
            self._background.remove(job)
            if error is None and not job.stopped.is_set():
                job.announce(value)
            elif error is not None and not isinstance(error, Cancelled):
                log_failure(job.kind, error)
                if job.kind == JobKind.EDIT and not job.stopped.is_set():
                    self.failed.emit(job.kind, sentence(error))
        elif job is self._current:
            self._current = None
            self._patience.stop()
            self._announce(job, value, error)
            self.busy_changed.emit()
        elif job.kind == JobKind.EXPORT:  # a newer job has replaced it, but the file is written
            self._announce(job, value, error)

    def _announce(self, job: Job, value: Any, error: BaseException | None) -> None:
        if isinstance(error, Cancelled) or (error is None and job.stopped.is_set()):
            self.cancelled.emit(job.kind)
        elif error is not None:
            log_failure(job.kind, error)
            self.failed.emit(job.kind, sentence(error))
        else:
            job.announce(value)

    def _stop_waiting(self) -> None:
        job, self._current = self._current, None
        if job is not None:
            self.cancelled.emit(job.kind)
            self.busy_changed.emit()

    def stop_waiting_jobs(self, *kinds: JobKind) -> None:
        """Stop the background jobs of these kinds, waiting or running."""
        for job in self._background:
            if job.kind in kinds:
                job.stop()
