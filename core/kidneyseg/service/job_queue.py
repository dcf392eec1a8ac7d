"""The jobs on disk: QUEUE/job-N with the record job.json, the objects of the study, and the results.

Each change of a job is one replacement of its record, written and synced before anything relies on it. Whoever starts
after a kill finds every job in a state from which it goes on.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from kidneyseg.errors import OutputError
from kidneyseg.files import make_folder, remove_abandoned, sync_folder, write_whole
from kidneyseg.service.jobs import Job, State

_RECORD, _LOCK, _NEW = "job.json", "lock", ".new-"
_STUDY, _RESULTS = "study", "results"
_DAMAGED = f"Its {_RECORD} is damaged. Send the study again."
_FINISHED = (State.DONE, State.FAILED)


class JobQueue:
    """The jobs of one folder, which one process at a time may change. As a context manager it gives the folder back.

    Its methods may be called from any thread; `lock` keeps several calls together.
    """

    def __init__(self, folder: Path) -> None:
        """Open a queue, or make one.

        Raises:
            OutputError: the folder cannot be made or written, or another process has it.
        """
        self.folder = folder
        self.lock = threading.RLock()
        self._held = _hold(folder)
        for left in folder.glob(f"{_NEW}*"):
            shutil.rmtree(left, ignore_errors=True)
        self._jobs = {job.number: job for job in read_jobs(folder)}
        for number in self._jobs:
            for place in (self._place(number), self._place(number) / _STUDY):
                remove_abandoned(place)
        self._bytes = _size(folder)

    def __enter__(self) -> JobQueue:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._held.close()

    @property
    def bytes(self) -> int:
        """What studies and results take, as far as it was counted."""
        return self._bytes

    def jobs(self) -> list[Job]:
        """All jobs, by number."""
        with self.lock:
            return [self._jobs[number] for number in sorted(self._jobs)]

    def add(self, key: str, state: State, source: str | None = None, stamp: str = "", problem: str = "") -> Job:
        """A new job, which is on disk when this returns. Raises OutputError."""
        with self.lock:
            number = max(self._jobs, default=0) + 1
            job = Job(number, state, key, source, stamp, changed_at=time.time(), problem=problem)
            made = None
            try:
                made = Path(tempfile.mkdtemp(dir=self.folder, prefix=_NEW))
                (made / _STUDY).mkdir(mode=0o700)
                write_whole(made / _RECORD, job.to_json().encode())
                made.rename(self._place(job.number))
            except (OSError, OutputError) as error:
                if made is not None:
                    shutil.rmtree(made, ignore_errors=True)
                why = error.strerror if isinstance(error, OSError) else error
                raise OutputError(f"The queue {self.folder} cannot be written: {why}") from error
            sync_folder(self.folder)
            self._jobs[job.number] = job
            return job

    def save(self, job: Job) -> None:
        """Write a job's record. Raises OutputError."""
        with self.lock:
            job.changed_at = time.time()
            write_whole(self._place(job.number) / _RECORD, job.to_json().encode())

    def remove(self, job: Job) -> None:
        """Delete a job and all that belongs to it."""
        with self.lock:
            self._jobs.pop(job.number, None)
            place = self._place(job.number)
            self._bytes -= _size(place)
            hidden = place.with_name(f"{_NEW}{place.name}")  # a folder whose deletion is cut off is no job any more
            with suppress(OSError):
                place.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)

    def remove_data(self, job: Job) -> None:
        """Delete a job's study and results, and keep its record."""
        with self.lock:
            for name in os.listdir(self._place(job.number)):
                if name != _RECORD:
                    self._bytes -= _size(self._place(job.number) / name)
                    shutil.rmtree(self._place(job.number) / name, ignore_errors=True)

    def next_due(self, now: float) -> Job | None:
        """The first job that can be segmented or sent; what is segmented goes first."""
        due = [job for job in self.jobs() if job.state in (State.SEGMENTED, State.RECEIVED) and job.due_at <= now]
        return min(due, key=lambda job: (job.state != State.SEGMENTED, job.number), default=None)

    def study(self, job: Job) -> Path:
        """What is to be segmented: the source, or the folder of the received objects."""
        return Path(job.source) if job.source is not None else self._place(job.number) / _STUDY

    def new_results(self, job: Job) -> Path:
        """An empty folder for a new attempt's results; those of earlier attempts are deleted. Raises OutputError."""
        place = self._place(job.number)
        for old in place.glob(f"{_RESULTS}-*"):
            self.count(-_size(old))
            shutil.rmtree(old, ignore_errors=True)
        make_folder(self.results(job))
        return self.results(job)

    def results(self, job: Job) -> Path:
        """The folder of the last attempt's results."""
        return self._place(job.number) / f"{_RESULTS}-{job.attempts}"

    def count(self, size: int) -> None:
        """Add the bytes of what was written into a job's folder."""
        with self.lock:
            self._bytes += size

    def count_results(self, job: Job) -> None:
        """Add the bytes of a job's results."""
        self.count(_size(self.results(job)))

    def expire(self, now: float, done_s: float, failed_s: float) -> None:
        """Delete jobs that were done, or have failed, so many seconds ago."""
        ages = {State.DONE: done_s, State.FAILED: failed_s}
        for job in self.jobs():
            if job.state in _FINISHED and now - job.changed_at > ages[job.state]:
                self.remove(job)

    def _place(self, number: int) -> Path:
        return self.folder / f"job-{number}"


def read_jobs(folder: Path) -> list[Job]:
    """The jobs in a queue's folder, by number, also while another process works on them."""
    jobs = []
    for place in folder.glob("job-*"):
        number = place.name.removeprefix("job-")
        if not number.isdecimal() or not place.is_dir():
            continue
        try:
            jobs.append(Job.from_json((place / _RECORD).read_text(encoding="utf-8")))
        except FileNotFoundError:  # deleted meanwhile
            continue
        except (OSError, ValueError):
            jobs.append(Job(int(number), State.FAILED, key="", changed_at=time.time(), problem=_DAMAGED))
    return sorted(jobs, key=lambda job: job.number)


def _hold(folder: Path) -> IO[bytes]:
    """Lock a queue's folder, which is for its owner alone, until the file that is returned is closed."""
    make_folder(folder)
    try:
        os.chmod(folder, 0o700)
        file = open(folder / _LOCK, "ab")  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise OutputError(f"The queue {folder} may not be written: {error.strerror}. Choose another folder.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise OutputError(f"The queue {folder} is in use by another process. Stop that, or choose another.") from error
    return file


def _size(place: Path) -> int:
    """The bytes of a folder's files."""
    total = 0
    for parent, _folders, names in os.walk(place):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
