"""Objects are gathered into studies, durably, and a study is complete only when its sender is done."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.uid import MRImageStorage

from clock import Clock
from dicom_peers import study
from kidneyseg.errors import OutputError
from kidneyseg.service import intake as module
from kidneyseg.service.intake import FullError, Intake, NotUsableError
from kidneyseg.service.job_queue import JobQueue
from kidneyseg.service.jobs import State


class Connection:
    """An association that ends when told."""

    def __init__(self) -> None:
        self.is_released, self._lasts = False, True

    def is_alive(self) -> bool:
        return self._lasts

    def end(self, *, released: bool = True) -> None:
        self.is_released, self._lasts = released, False


def encoded(one: Dataset) -> bytes:
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.get("SOPInstanceUID", "1.2")
    file = io.BytesIO()
    dcmwrite(file, one, enforce_file_format=True)
    return file.getvalue()


def states(queue: JobQueue) -> list[State]:
    return [job.state for job in queue.jobs()]


def test_a_study_is_complete_when_its_connection_has_ended_and_nothing_came_for_a_while(
    queue: JobQueue, clock: Clock
) -> None:
    intake, connection = Intake(queue, 10, 10**9), Connection()
    for one in study():
        assert intake.store(encoded(one), connection)
    clock.now += 1000
    assert intake.settle() == [], "a slow sender"
    connection.end()
    assert intake.settle() == []
    clock.now += 9
    assert intake.settle() == []
    clock.now += 2
    [job] = intake.settle()
    assert (job.state, job.objects) == (State.RECEIVED, 10)
    assert intake.settle() == []


def test_a_broken_connection_is_waited_for_longer(queue: JobQueue, clock: Clock) -> None:
    intake, connection, again = Intake(queue, 10, 10**9), Connection(), Connection()
    first, *rest = study()
    intake.store(encoded(first), connection)
    connection.end(released=False)
    intake.settle()
    clock.now += 90
    assert intake.settle() == []
    for one in rest:
        intake.store(encoded(one), again)
    again.end()
    intake.settle()
    clock.now += 11
    assert [job.objects for job in intake.settle()] == [10]


def test_two_studies_in_one_connection_are_two_jobs(queue: JobQueue, clock: Clock) -> None:
    intake, connection = Intake(queue, 10, 10**9), Connection()
    for pair in zip(study(), study(), strict=True):
        for one in pair:
            intake.store(encoded(one), connection)
    connection.end()
    intake.settle()
    clock.now += 11
    assert [job.objects for job in intake.settle()] == [10, 10]


def test_one_study_uid_of_two_patients_is_two_jobs(queue: JobQueue) -> None:
    intake = Intake(queue, 10, 10**9)
    for patient in ("A", "B"):
        intake.store(encoded(study(1, study="1.2.3", PatientID=patient)[0]), Connection())
    assert len(queue.jobs()) == 2


def test_what_comes_while_a_study_waits_joins_it_and_later_begins_another_job(queue: JobQueue, clock: Clock) -> None:
    intake = Intake(queue, 10, 10**9)
    objects = [encoded(one) for one in study(5)]

    def come(content: bytes) -> None:
        connection = Connection()
        intake.store(content, connection)
        connection.end()
        intake.settle()
        clock.now += 11
        intake.settle()

    come(objects[0])
    assert states(queue) == [State.RECEIVED]
    intake.store(objects[1], waiting := Connection())
    assert states(queue) == [State.RECEIVING], "not to be segmented meanwhile"
    waiting.end()
    come(objects[2])
    assert [(job.state, job.objects) for job in queue.jobs()] == [(State.RECEIVED, 3)]
    queue.jobs()[0].attempts = 1
    come(objects[3])
    assert [job.objects for job in queue.jobs()] == [3, 1]


def test_an_object_that_comes_twice_is_stored_once(queue: JobQueue) -> None:
    intake, content = Intake(queue, 10, 10**9), encoded(study(1)[0])
    intake.store(content, Connection())
    size = queue.bytes
    intake.store(content, Connection())
    [job] = queue.jobs()
    assert [path.read_bytes() for path in queue.study(job).iterdir()] == [content]
    assert queue.bytes == size


def test_a_new_process_goes_on_with_a_study_that_was_being_received(tmp_path: Path, clock: Clock) -> None:
    first, second = (encoded(one) for one in study(2))
    with JobQueue(tmp_path) as queue:
        Intake(queue, 10, 10**9).store(first, Connection())
    with JobQueue(tmp_path) as queue:
        intake, connection = Intake(queue, 10, 10**9), Connection()
        assert intake.settle() == []
        intake.store(second, connection)
        connection.end()
        intake.settle()
        clock.now += 11
        assert [job.objects for job in intake.settle()] == [2]


def test_what_is_no_ct_is_left(queue: JobQueue) -> None:
    other = study(1, SOPClassUID=MRImageStorage)[0]
    assert not Intake(queue, 10, 10**9).store(encoded(other), Connection())
    assert queue.jobs() == []


@pytest.mark.parametrize("content", [b"", b"no DICOM", b"\0" * 128 + b"DICM" + b"\xff" * 50])
def test_what_is_no_dicom_is_refused(queue: JobQueue, content: bytes) -> None:
    with pytest.raises(NotUsableError):
        Intake(queue, 10, 10**9).store(content, Connection())


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SOPInstanceUID"])
def test_an_object_without_identifiers_is_refused(queue: JobQueue, missing: str) -> None:
    with pytest.raises(NotUsableError):
        Intake(queue, 10, 10**9).store(encoded(study(1, **{missing: None})[0]), Connection())
    assert queue.jobs() == []


def test_a_full_queue_refuses_and_keeps_what_it_has(queue: JobQueue) -> None:
    first, second = (encoded(one) for one in study(2))
    intake = Intake(queue, 10, queue.bytes + len(first) + 1)
    intake.store(first, Connection())
    with pytest.raises(FullError):
        intake.store(second, Connection())
    [job] = queue.jobs()
    assert len(list(queue.study(job).iterdir())) == 1


def test_a_full_disk_leaves_no_part_of_an_object_and_no_empty_job(
    queue: JobQueue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake, connection, sync = Intake(queue, 10, 10**9), Connection(), os.fsync

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _ = queue.add("other", State.RECEIVED)
    real = module.atomic_write

    def write(path: Path, **how: Any) -> Any:
        monkeypatch.setattr(os, "fsync", full)
        return real(path, **how)

    monkeypatch.setattr(module, "atomic_write", write)
    with pytest.raises(OutputError, match="the disk is full"):
        intake.store(encoded(study(1)[0]), connection)
    monkeypatch.setattr(os, "fsync", sync)
    connection.end()
    intake.settle()
    clock.now += 101
    assert intake.settle() == []
    assert [job.key for job in queue.jobs()] == ["other"]


def test_half_a_study_is_not_segmented_but_waits_for_the_rest(queue: JobQueue, clock: Clock) -> None:
    first, second, third = (encoded(one) for one in study(3))
    intake = Intake(queue, 10, queue.bytes + 2 * len(first) + 2000)

    def come(*contents: bytes) -> int:
        connection, refused = Connection(), 0
        for content in contents:
            try:
                intake.store(content, connection)
            except FullError:
                refused += 1
        connection.end()
        intake.settle()
        return refused

    assert come(first, second, third) == 1
    clock.now += 50
    assert intake.settle() == []
    clock.now += 51
    [job] = intake.settle()
    assert (job.state, job.objects) == (State.FAILED, 2)
    assert job.problem.startswith("1 image of it could not be stored")
    intake._limit = 10**9
    assert come(third) == 0
    clock.now += 11
    [job] = intake.settle()
    assert (job.number, job.state, job.objects, job.problem) == (1, State.RECEIVED, 3, "")


def test_what_was_refused_before_a_study_had_a_job_is_missed_too(queue: JobQueue, clock: Clock) -> None:
    first, second = (encoded(one) for one in study(2))
    intake, connection = Intake(queue, 10, 0), Connection()
    with pytest.raises(FullError):
        intake.store(first, connection)
    intake._limit = 10**9
    intake.store(second, connection)
    connection.end()
    intake.settle()
    clock.now += 101
    assert [job.state for job in intake.settle()] == [State.FAILED]


def test_an_object_that_was_refused_and_came_again_is_not_missed(queue: JobQueue, clock: Clock) -> None:
    first, second = (encoded(one) for one in study(2))
    intake, connection = Intake(queue, 10, queue.bytes + len(first) + 2000), Connection()
    intake.store(first, connection)
    with pytest.raises(FullError):
        intake.store(second, connection)
    intake._limit = 10**9
    intake.store(second, connection)
    connection.end()
    intake.settle()
    clock.now += 11
    assert [job.state for job in intake.settle()] == [State.RECEIVED]
