"""Works on the jobs of a queue: one at a time is segmented, and its results are sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kidneyseg.errors import Cancelled, KidneySegError
from kidneyseg.plurals import counted
from kidneyseg.service.job_process import NotSegmentedError
from kidneyseg.service.job_queue import JobQueue
from kidneyseg.service.jobs import Job, State
from kidneyseg.service.sender import AwayError, RefusedError

Segment = Callable[[Job, Path, Path], None]
"""Segments a job's CT into a folder. Raises NotSegmentedError, or Cancelled when the server stops."""
Send = Callable[[Sequence[Path], Callable[[Path], None]], None]
"""Sends files to where results belong; see `Sender.send`. Raises AwayError or RefusedError."""

_MOST_ATTEMPTS = 5  # an attempt that a kill of the server cut off counts, too
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 600.0
_KEPT_RECORD_S, _KEPT_FAILURE_S = 7 * 86400.0, 30 * 86400.0


@dataclass(frozen=True)
class Processing:
    """Takes jobs up, one `step` at a time."""

    queue: JobQueue
    segment: Segment
    send: Send | None  #: None where `segment` writes the results where they belong
    say: Callable[[str], None]  #: gets a sentence for each change of a job
    ended: Callable[[Job], None] = lambda _job: None  #: gets each job that is done or has failed, before it is saved
    keep: bool = False  #: finished jobs are kept with their data

    def step(self) -> bool:
        """Segment or send one job that is due; False where none is. Raises Cancelled when the server stops."""
        with self.queue.lock:
            job = self.queue.next_due(time.time())
            if job is None:
                return False
            if job.state == State.RECEIVED:
                if job.attempts >= _MOST_ATTEMPTS:
                    self._fail(job, job.problem or f"The server ended in each of {_MOST_ATTEMPTS} attempts.")
                    return True
                job.attempts += 1
                self.queue.save(job)  # before the work, which may end this process
        if job.state == State.RECEIVED:
            self._segment(job)
        if job.state == State.SEGMENTED:
            self._send(job)
        return True

    def retry_failed(self) -> None:
        """Take up the jobs that failed once more."""
        for job in self.queue.jobs():
            if job.state == State.FAILED and job.key and (job.source or self.queue.study(job).is_dir()):
                segmented = any(self.queue.results(job).glob("*.dcm"))
                job.state = State.SEGMENTED if segmented else State.RECEIVED
                job.attempts, job.sends, job.due_at, job.problem = job.attempts if segmented else 0, 0, 0.0, ""
                self.queue.save(job)

    def clean(self) -> None:
        """Delete what is finished: the patient's data of done jobs, later their record, and old failures."""
        if self.keep:
            return
        for job in self.queue.jobs():
            if job.state == State.DONE:
                self.queue.remove_data(job)
        self.queue.expire(time.time(), _KEPT_RECORD_S, _KEPT_FAILURE_S)

    def _segment(self, job: Job) -> None:
        what = f" {counted(job.objects, 'image')}" if job.objects else ""
        self.say(f"Job {job.number}: segmenting{what}.")
        try:
            self.segment(job, self.queue.study(job), self.queue.new_results(job))
            self.queue.count_results(job)
        except NotSegmentedError as error:
            if error.lasting or job.attempts >= _MOST_ATTEMPTS:
                self._fail(job, str(error))
            else:
                self._put_off(job, str(error), job.attempts)
        except KidneySegError as error:  # the disk is full
            job.attempts -= 1
            self._put_off(job, str(error), job.attempts)
        except Cancelled:
            job.attempts -= 1
            self.queue.save(job)
            raise
        else:
            job.state, job.problem, job.due_at = State.SEGMENTED, "", 0.0
            self.queue.save(job)

    def _send(self, job: Job) -> None:
        def taken(path: Path) -> None:
            job.sent.append(path.name)
            self.queue.save(job)

        try:
            if self.send is not None:
                results = results_of(self.queue.results(job))
                if not results:  # somebody has deleted them
                    self._put_off(job, "Its results are missing.", job.attempts, State.RECEIVED)
                    return
                self.send([path for path in results if path.name not in job.sent], taken)
        except AwayError as error:
            job.sends += 1
            self._put_off(job, str(error), job.sends)
        except RefusedError as error:
            self._fail(job, str(error))
        else:
            job.state, job.problem = State.DONE, ""
            self.ended(job)
            self.queue.save(job)
            self.say(f"Job {job.number}: done.")
            if not self.keep:
                self.queue.remove_data(job)

    def _put_off(self, job: Job, problem: str, times: int, state: State | None = None) -> None:
        """Take a job up again, in its state or in another one, after a pause, which grows with each time."""
        job.state = state or job.state
        pause_s = min(_FIRST_PAUSE_S * 2.0 ** min(max(times - 1, 0), 16), _LONGEST_PAUSE_S)
        job.problem, job.due_at = problem, time.time() + pause_s
        self.queue.save(job)
        self.say(f"Job {job.number}: {problem} Next try in {pause_s:.0f} s.")

    def _fail(self, job: Job, problem: str) -> None:
        job.state, job.problem = State.FAILED, problem
        self.ended(job)
        self.queue.save(job)
        self.say(f"Job {job.number} failed: {problem}")


def results_of(folder: Path) -> list[Path]:
    """The DICOM objects of a result, in the order in which they are sent: a report after what it refers to."""
    return sorted(folder.glob("*.dcm"), key=lambda path: (path.stem.endswith("_sr"), path.name))
