"""A job goes from received to done, and each failure on the way to a later try or to a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from kidneyseg.errors import Cancelled, OutputError
from kidneyseg.service import processing as module
from kidneyseg.service.job_process import NotSegmentedError
from kidneyseg.service.job_queue import JobQueue
from kidneyseg.service.jobs import Job, State
from kidneyseg.service.processing import Processing, results_of
from kidneyseg.service.sender import AwayError, RefusedError


class World:
    """A queue with a job, and what its two steps do."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue, self.job = queue, queue.add("key", State.RECEIVED)
        (queue.study(self.job) / "1.dcm").write_bytes(b"CT")
        self.said: list[str] = []
        self.sent: list[str] = []
        self.ended: list[str] = []
        self.segment_error: BaseException | None = None
        self.send_errors: list[Exception] = []
        self.processing = Processing(
            queue, self.segment, self.send, self.said.append, ended=lambda job: self.ended.append(str(job.state))
        )

    def segment(self, _job: Job, ct: Path, output: Path) -> None:
        assert (ct / "1.dcm").read_bytes() == b"CT"
        if self.segment_error is not None:
            raise self.segment_error
        for name in ("study_sr.dcm", "study_seg.dcm", "study_seg.json"):
            (output / name).write_bytes(b"result")

    def send(self, paths: Sequence[Path], taken: Callable[[Path], None]) -> None:
        for path in paths:
            assert path.read_bytes() == b"result"
            self.sent.append(path.name)
            if self.send_errors:
                raise self.send_errors.pop(0)
            taken(path)

    def on_disk(self) -> Job:
        return Job.from_json((self.queue.folder / f"job-{self.job.number}" / "job.json").read_text())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with JobQueue(tmp_path / "queue") as queue:
        yield World(queue)


def test_a_job_is_segmented_sent_and_its_data_deleted(world: World) -> None:
    assert world.processing.step()
    assert world.sent == ["study_seg.dcm", "study_sr.dcm"]
    job = world.on_disk()
    assert (job.state, job.sent, job.problem) == (State.DONE, world.sent, "")
    assert [path.name for path in (world.queue.folder / "job-1").iterdir()] == ["job.json"]
    assert world.ended == ["done"]
    assert not world.processing.step()


def test_an_attempt_is_counted_on_disk_before_it_begins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(World, "segment", lambda *_: seen.append(world.on_disk().attempts))
    World(world.queue).processing.step()
    assert seen[0] == 1


def test_what_the_peer_has_taken_is_not_sent_again(world: World) -> None:
    world.send_errors = []
    real, fail = world.send, [True]

    def send(paths: Sequence[Path], taken: Callable[[Path], None]) -> None:
        real(paths[:1], taken)
        if fail.pop():
            raise AwayError("The connection broke off.")

    processing = Processing(world.queue, world.segment, send, world.said.append)
    processing.step()
    job = world.on_disk()
    assert (job.state, job.sent, job.sends) == (State.SEGMENTED, ["study_seg.dcm"], 1)
    world.job.due_at = 0
    fail.append(False)
    processing.step()
    assert world.sent == ["study_seg.dcm", "study_sr.dcm"]
    assert world.on_disk().state == State.DONE


def test_pauses_grow_while_the_peer_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1e6]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    world.job.due_at, pauses = 0.0, []
    world.send_errors = [AwayError("PACS does not answer.") for _ in range(12)]
    for _ in range(12):
        assert world.processing.step()
        assert not world.processing.step(), "not before its pause is over"
        pauses.append(world.job.due_at - now[0])
        now[0] = world.job.due_at
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[-1] == 600
    assert world.on_disk().problem == "PACS does not answer."
    world.processing.step()
    assert world.on_disk().state == State.DONE


def test_results_that_somebody_deleted_are_made_again(world: World) -> None:
    world.job.state, world.job.attempts = State.SEGMENTED, 1
    world.processing.step()
    assert (world.on_disk().state, world.on_disk().problem) == (State.RECEIVED, "Its results are missing.")
    world.job.due_at = 0
    world.processing.step()
    assert world.sent == ["study_seg.dcm", "study_sr.dcm"]
    assert world.on_disk().state == State.DONE


def test_a_refused_result_is_a_failure_that_keeps_all(world: World) -> None:
    world.send_errors = [RefusedError("PACS does not take SEG objects.")]
    world.processing.step()
    assert world.on_disk().state == State.FAILED
    assert world.said[-1] == "Job 1 failed: PACS does not take SEG objects."
    assert (world.queue.study(world.job) / "1.dcm").exists()
    assert world.ended == ["failed"]
    world.processing.retry_failed()
    assert world.on_disk().state == State.SEGMENTED
    world.processing.step()
    assert world.on_disk().state == State.DONE


def test_a_ct_that_cannot_be_used_is_not_tried_again(world: World) -> None:
    world.segment_error = NotSegmentedError("study holds no CT series.", lasting=True)
    world.processing.step()
    job = world.on_disk()
    assert (job.state, job.attempts, job.problem) == (State.FAILED, 1, "study holds no CT series.")
    world.segment_error = None
    world.processing.retry_failed()
    world.processing.step()
    assert world.on_disk().state == State.DONE


def test_a_crash_is_tried_again_a_few_times(world: World) -> None:
    world.segment_error = NotSegmentedError("The segmentation was ended by signal 9.", lasting=False)
    for attempt in range(1, 6):
        world.job.due_at = 0
        assert world.processing.step()
        assert world.on_disk().attempts == attempt
    assert world.on_disk().state == State.FAILED
    assert "signal 9" in world.on_disk().problem


def test_a_job_that_ends_the_server_each_time_is_given_up(world: World) -> None:
    world.job.attempts = 5
    world.processing.step()
    assert world.on_disk().state == State.FAILED
    assert "The server ended" in world.on_disk().problem


def test_a_full_disk_puts_a_job_off(world: World) -> None:
    world.segment_error = OutputError("The disk is full.")
    world.processing.step()
    job = world.on_disk()
    assert (job.state, job.attempts, job.problem) == (State.RECEIVED, 0, "The disk is full.")


def test_a_stop_gives_the_job_back(world: World) -> None:
    world.segment_error = Cancelled()
    with pytest.raises(Cancelled):
        world.processing.step()
    assert (world.on_disk().state, world.on_disk().attempts) == (State.RECEIVED, 0)


def test_cleaning_deletes_what_a_kill_left_of_a_done_job(world: World) -> None:
    world.job.state = State.DONE
    world.queue.save(world.job)
    world.processing.clean()
    assert [path.name for path in (world.queue.folder / "job-1").iterdir()] == ["job.json"]
    world.job.changed_at -= 8 * 86400
    world.processing.clean()
    assert world.queue.jobs() == []


def test_failures_are_kept_for_a_month(world: World) -> None:
    world.job.state = State.FAILED
    world.job.changed_at -= 29 * 86400
    world.processing.clean()
    assert (world.queue.study(world.job) / "1.dcm").exists()
    world.job.changed_at -= 2 * 86400
    world.processing.clean()
    assert not (world.queue.folder / "job-1").exists()


def test_keeping_deletes_nothing(world: World) -> None:
    processing = Processing(world.queue, world.segment, world.send, world.said.append, keep=True)
    processing.step()
    world.job.changed_at = 0.0
    processing.clean()
    assert (world.queue.study(world.job) / "1.dcm").exists()
    assert len(results_of(world.queue.results(world.job))) == 2
