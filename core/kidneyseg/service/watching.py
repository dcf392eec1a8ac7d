"""Finds CTs that are put into a folder: study folders, zips and NIfTI files that have stopped changing."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kidneyseg.errors import InputError, SettingsError
from kidneyseg.files import write_whole
from kidneyseg.imaging.nifti import case_name
from kidneyseg.service.job_queue import JobQueue
from kidneyseg.service.jobs import Job, State

_ENDINGS = (".zip", ".nii", ".nii.gz", ".hdr")
_UNFINISHED = (State.RECEIVED, State.SEGMENTED)
_SAME_NAME = "Another CT of the folder has this name with another ending. Rename one of them."


class WatchedFolder:
    """Makes jobs of the CTs in a folder, each once, and again when it has changed."""

    def __init__(self, folder: Path, output: Path, queue: JobQueue, settle_s: float) -> None:
        """Watch a folder.

        Args:
            folder: where CTs are put; nothing in it is changed.
            output: where results go; an entry of `folder` that holds it is passed over.
            queue: where the jobs are.
            settle_s: a CT is taken when it has not changed for so long.

        Raises:
            InputError: there is no such folder.
            SettingsError: what is written to `output` would be taken for CTs.
        """
        self._folder, self._output = folder.resolve(), output.resolve()
        if not self._folder.is_dir():
            raise InputError(f"There is no folder {folder}. Create it, or choose another one.")
        if self._folder.is_relative_to(self._output):
            raise SettingsError(f"the results in {output} would be taken for CTs; choose another folder for them")
        self._queue, self._settle_s = queue, settle_s
        self._changing: dict[Path, tuple[str, float]] = {}

    def look(self) -> list[Job]:
        """Look once; returns the new jobs. Raises OutputError where a job cannot be written."""
        known = {job.source: job for job in self._queue.jobs()}
        found, new = list(self._candidates()), []
        for path in found:
            job, stamp = known.get(str(path)), stamp_of(path)
            if stamp is None or (job is not None and (job.stamp == stamp or job.state in _UNFINISHED)):
                self._changing.pop(path, None)
            elif self._has_settled(path, stamp):
                if job is not None:
                    self._queue.remove(job)
                new.append(self._begin(path, stamp))
        for source, job in known.items():
            if job.state not in _UNFINISHED and source is not None and not os.path.lexists(source):
                self._queue.remove(job)
        self._changing = {path: seen for path, seen in self._changing.items() if path in found}
        return new

    def tell(self, job: Job) -> None:
        """Write why a job has failed beside the results, or take that away when it is done. Raises OutputError."""
        assert job.source is not None
        reason = self._output / f"{Path(job.source).name}_failed.txt"
        if job.state == State.FAILED:
            write_whole(reason, f"{job.problem}\n".encode())
        else:
            with suppress(OSError):
                reason.unlink(missing_ok=True)

    def _begin(self, path: Path, stamp: str) -> Job:
        del self._changing[path]
        twins = [
            job.source
            for job in self._queue.jobs()
            if job.source is not None and job.source != str(path) and case_name(Path(job.source)) == case_name(path)
        ]
        key = hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:32]
        if not twins:
            return self._queue.add(key, State.RECEIVED, str(path), stamp)
        job = self._queue.add(key, State.FAILED, str(path), stamp, _SAME_NAME)
        self.tell(job)
        return job

    def _has_settled(self, path: Path, stamp: str) -> bool:
        now = time.monotonic()
        before, since = self._changing.get(path, ("", now))
        if before != stamp:
            self._changing[path] = (stamp, now)
        return before == stamp and now - since >= self._settle_s

    def _candidates(self) -> Iterator[Path]:
        with os.scandir(self._folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            with suppress(OSError):
                is_study = entry.is_dir() and not self._output.is_relative_to(path.resolve())
                if is_study or (entry.is_file() and entry.name.lower().endswith(_ENDINGS)):
                    yield path


def without_names(sentence: str, ct: Path) -> str:
    """A sentence on a CT without the names of its files, which may be a patient's: it is listed and logged."""
    sentence = re.sub(
        rf"(?<!\w){re.escape(case_name(ct))}_\w[\w.-]*\w", "The result", sentence.replace(str(ct), "The CT")
    )
    return re.sub(rf"(?<!\w){re.escape(ct.name)}(?!\w)", "The CT", sentence)


def stamp_of(path: Path) -> str | None:
    """What changes whenever a file, or a file of a folder, does: by name, size and time; None without content."""
    state, empty = hashlib.sha256(), True
    for file in _files_of(path):
        try:
            about = os.stat(file)
        except OSError:  # it was there a moment ago
            return None
        empty = empty and not about.st_size
        state.update(f"{file}\0{about.st_size}\0{about.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return None if empty else state.hexdigest()


def _files_of(path: Path) -> Iterator[str]:
    if not path.is_dir():
        yield str(path)
        if path.suffix.lower() == ".hdr":
            yield from (str(other) for end in (".img", ".IMG", ".img.gz") if (other := path.with_suffix(end)).exists())
        return
    for parent, folders, names in os.walk(path):
        folders.sort()
        yield from (os.path.join(parent, name) for name in sorted(names))
