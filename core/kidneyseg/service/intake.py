"""Gathers the objects that peers send into jobs, one for each study, and says when a study is complete."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, Protocol

from kidneyseg.errors import OutputError
from kidneyseg.files import atomic_write
from kidneyseg.imaging.dicom import tags
from kidneyseg.imaging.dicom.elements import DamagedError
from kidneyseg.imaging.dicom.instances import Instance, read_instance
from kidneyseg.plurals import counted
from kidneyseg.service.job_queue import JobQueue
from kidneyseg.service.jobs import Job, State

_MOST_INCOMPLETE = 1000  # studies whose missing objects are remembered
_INCOMPLETE = "{} of it could not be stored and did not come again. Send the study again."
# A peer whose connection broke off, or whose object was refused, comes back after a pause of its own.
_PATIENCE_AFTER_BREAK = 10


class Association(Protocol):
    """A connection of a peer, such as pynetdicom's."""

    is_released: bool

    def is_alive(self) -> bool:
        """Whether it still lasts."""


class FullError(Exception):
    """The queue has reached its limit."""


class NotUsableError(Exception):
    """An object that cannot be read, or names no study."""


class _Bytes(NamedTuple):
    """An object in memory, as `read_instance` takes it."""

    content: bytes
    name: str = ""
    folder: str = ""

    @property
    def size(self) -> int:
        return len(self.content)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.content)


@dataclass
class _Arriving:
    """A study of which objects arrive."""

    last: float  #: when the last one came, by `time.monotonic`
    senders: dict[int, Association] = field(default_factory=dict)
    broken: bool = False  #: the last connection was not released


class Intake:
    """Stores objects in the jobs of their studies. Its methods may be called from any thread."""

    def __init__(self, queue: JobQueue, settle_s: float, limit_bytes: int) -> None:
        """Take objects.

        Args:
            queue: where the jobs are.
            settle_s: a study is complete when nothing came for so long and no connection that sent of it lasts; ten
                times as long where a connection broke off or an object was refused.
            limit_bytes: the most that the queue may take.
        """
        self._queue, self._settle_s, self._limit = queue, settle_s, limit_bytes
        self._arriving: dict[int, _Arriving] = {}
        # Of each study's key, the objects that could not be stored and are missing.
        self._refused: dict[str, set[str]] = {}

    def store(self, content: bytes, association: Association) -> bool:
        """Store a DICOM object. It is on disk, under its final name, when this returns.

        Args:
            content: a whole file, with its meta information.
            association: what it came by.

        Returns:
            Whether it is a CT image; what is none is left.

        Raises:
            FullError: the queue is full.
            NotUsableError: the object cannot be read, or names no study or no instance.
            OutputError: it cannot be written, as when the disk is full.
        """
        instance = _read(content)
        kind = instance.elements.text(tags.SOP_CLASS_UID)
        if kind and kind not in tags.CT_CLASSES:
            return False
        study, name = (instance.elements.text(tag) for tag in (tags.STUDY_INSTANCE_UID, tags.SOP_INSTANCE_UID))
        if not (kind and study and name):
            raise NotUsableError
        key, name = _hashed(study, instance.elements.text(tags.PATIENT_ID)), _hashed(name)
        try:
            if self._queue.bytes + len(content) > self._limit:
                raise FullError
            self._write(self._job_for(key, association), name, content)
        except (FullError, OutputError):
            self._miss(key, name)
            raise
        self._found(key, name)
        return True

    def settle(self) -> list[Job]:
        """Let the studies that are complete be segmented; returns their jobs.

        One of which objects were refused, and did not come again, fails: half a study is not segmented.
        """
        complete = []
        with self._queue.lock:
            for job in self._queue.jobs():
                if job.state == State.RECEIVING and self._is_complete(job):
                    refused = len(self._refused.get(job.key, ()))
                    del self._arriving[job.number]
                    job.objects = sum(path.suffix == ".dcm" for path in self._queue.study(job).iterdir())
                    if job.objects == 0:  # the first could not be written
                        self._queue.remove(job)
                        continue
                    job.state = State.FAILED if refused else State.RECEIVED
                    job.problem = _INCOMPLETE.format(counted(refused, "image")) if refused else ""
                    self._queue.save(job)
                    complete.append(job)
        return complete

    def _job_for(self, key: str, association: Association) -> Job:
        """The job of a study to which more may be added, or a new one; it will not be complete before `association`."""
        with self._queue.lock:
            job = next((one for one in self._queue.jobs() if one.key == key and _is_open(one)), None)
            if job is None:
                job = self._queue.add(key, State.RECEIVING)
            elif job.state != State.RECEIVING:
                job.state, job.problem = State.RECEIVING, ""
                self._queue.save(job)
            arriving = self._arriving.setdefault(job.number, _Arriving(time.monotonic()))
            arriving.senders[id(association)] = association
            arriving.last = time.monotonic()
            return job

    def _write(self, job: Job, name: str, content: bytes) -> None:
        path = self._queue.study(job) / f"{name}.dcm"
        before = path.stat().st_size if path.exists() else 0  # sent again
        with atomic_write(path) as file:
            file.write(content)
        self._queue.count(len(content) - before)

    def _miss(self, key: str, name: str) -> None:
        with self._queue.lock:
            while len(self._refused) >= _MOST_INCOMPLETE and key not in self._refused:
                del self._refused[next(iter(self._refused))]
            self._refused.setdefault(key, set()).add(name)

    def _found(self, key: str, name: str) -> None:
        with self._queue.lock:
            missing = self._refused.get(key, set())
            missing.discard(name)
            if not missing:
                self._refused.pop(key, None)

    def _is_complete(self, job: Job) -> bool:
        now = time.monotonic()
        arriving = self._arriving.setdefault(job.number, _Arriving(now))
        for number, association in list(arriving.senders.items()):
            if not association.is_alive():
                arriving.broken = not association.is_released
                arriving.last = now
                del arriving.senders[number]
        patience = self._settle_s * (_PATIENCE_AFTER_BREAK if arriving.broken or job.key in self._refused else 1)
        return not arriving.senders and now - arriving.last >= patience


def _is_open(job: Job) -> bool:
    """Whether what comes of a study is added to its job: its segmentation has not begun."""
    return job.state == State.RECEIVING or (job.state in (State.RECEIVED, State.FAILED) and job.attempts == 0)


def _read(content: bytes) -> Instance:
    try:
        found = read_instance(_Bytes(content))
    except (OSError, DamagedError) as error:
        raise NotUsableError from error
    if found is None:
        raise NotUsableError
    return found


def _hashed(*values: str) -> str:
    return hashlib.sha256("\0".join(values).encode()).hexdigest()[:32]
