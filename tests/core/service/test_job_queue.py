"""The queue finds its jobs again after any end of its process."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kidneyseg.errors import OutputError
from kidneyseg.service.job_queue import JobQueue, read_jobs
from kidneyseg.service.jobs import State


def test_jobs_are_found_again(tmp_path: Path) -> None:
    with JobQueue(tmp_path / "queue") as queue:
        first, second = queue.add("a", State.RECEIVING), queue.add("b", State.RECEIVED)
        (queue.study(first) / "1.dcm").write_bytes(b"x" * 1000)
        second.attempts = 1
        queue.save(second)
        assert read_jobs(tmp_path / "queue") == [first, second], "they can be listed meanwhile"
    with JobQueue(tmp_path / "queue") as queue:
        assert queue.jobs() == [first, second]
        assert 1000 < queue.bytes < 3000
        assert queue.add("c", State.RECEIVED).number == 3


def test_only_its_owner_may_look_into_the_queue(tmp_path: Path) -> None:
    with JobQueue(tmp_path / "deep" / "queue"):
        assert stat.S_IMODE((tmp_path / "deep" / "queue").stat().st_mode) == 0o700


def test_two_processes_cannot_have_one_queue(tmp_path: Path) -> None:
    with JobQueue(tmp_path), pytest.raises(OutputError, match="in use by another process"):
        JobQueue(tmp_path)
    with JobQueue(tmp_path):
        pass


def test_what_a_kill_cut_off_is_no_job(tmp_path: Path) -> None:
    with JobQueue(tmp_path) as queue:
        job = queue.add("a", State.RECEIVING)
        (tmp_path / ".new-abc").mkdir()
        (queue.study(job) / ".kidneyseg-1.part").write_bytes(b"half an object")
    with JobQueue(tmp_path) as queue:
        assert queue.jobs() == [job]
        assert list(queue.study(job).iterdir()) == []
        assert not (tmp_path / ".new-abc").exists()


def test_a_job_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutputError("job.json was not written: the disk is full.")

    with JobQueue(tmp_path) as queue:
        monkeypatch.setattr("kidneyseg.service.job_queue.write_whole", full)
        with pytest.raises(OutputError, match="the disk is full"):
            queue.add("a", State.RECEIVING)
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
        assert queue.jobs() == []


def test_a_damaged_record_is_a_failed_job_whose_number_is_not_used_again(tmp_path: Path) -> None:
    with JobQueue(tmp_path) as queue:
        queue.add("a", State.RECEIVED)
    (tmp_path / "job-1" / "job.json").write_bytes(b"")
    (tmp_path / "job-x").mkdir()
    with JobQueue(tmp_path) as queue:
        [job] = queue.jobs()
        assert job.state == State.FAILED
        assert "damaged" in job.problem
        assert queue.add("b", State.RECEIVED).number == 2


def test_results_go_before_new_studies_and_pauses_are_kept(tmp_path: Path) -> None:
    with JobQueue(tmp_path) as queue:
        one, two, three = (queue.add(key, State.RECEIVED) for key in "abc")
        queue.add("d", State.RECEIVING)
        assert queue.next_due(0) is one
        one.due_at = 100
        assert queue.next_due(50) is two
        three.state = State.SEGMENTED
        assert queue.next_due(50) is three
        two.state = three.state = State.DONE
        assert queue.next_due(50) is None
        assert queue.next_due(100) is one


def test_bytes_are_counted_and_given_back(tmp_path: Path) -> None:
    with JobQueue(tmp_path) as queue:
        before, job = queue.bytes, queue.add("a", State.RECEIVED)
        (queue.study(job) / "1.dcm").write_bytes(b"x" * 1000)
        queue.count(1000)
        job.attempts = 1
        (queue.new_results(job) / "seg.dcm").write_bytes(b"x" * 500)
        queue.count_results(job)
        assert queue.bytes == before + 1500
        job.attempts = 2
        assert list(queue.new_results(job).iterdir()) == []
        assert not list(tmp_path.glob("job-1/results-1")), "an earlier attempt's results"
        assert queue.bytes == before + 1000
        queue.remove_data(job)
        assert queue.bytes == before
        assert [path.name for path in (tmp_path / "job-1").iterdir()] == ["job.json"]


def test_finished_jobs_expire(tmp_path: Path) -> None:
    with JobQueue(tmp_path) as queue:
        done, failed = queue.add("a", State.DONE), queue.add("b", State.FAILED)
        waiting = queue.add("c", State.RECEIVED)
        now = done.changed_at
        queue.expire(now + 15, done_s=10, failed_s=20)
        assert queue.jobs() == [failed, waiting]
        queue.expire(now + 1000, done_s=10, failed_s=20)
        assert queue.jobs() == [waiting]
        assert not (tmp_path / f"job-{done.number}").exists()
