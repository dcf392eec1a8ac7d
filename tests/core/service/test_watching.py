"""CTs in a folder become jobs once each, when they have stopped changing, and results never do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clock import Clock
from kidneyseg.errors import InputError, SettingsError
from kidneyseg.service.job_queue import JobQueue
from kidneyseg.service.jobs import Job, State
from kidneyseg.service.watching import WatchedFolder, stamp_of, without_names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return tmp_path / "in"


@pytest.fixture
def look(folder: Path, queue: JobQueue, clock: Clock) -> Callable[[], list[str]]:
    """Looks at the folder until nothing more settles; the names of the new jobs' CTs."""
    watched = WatchedFolder(folder, folder.parent / "out", queue, 10)

    def looking() -> list[str]:
        new = watched.look()
        clock.now += 11
        return names([*new, *watched.look()])

    return looking


def names(jobs: list[Job]) -> list[str]:
    return [Path(str(job.source)).name for job in jobs]


def test_a_ct_is_taken_when_it_has_stopped_changing(folder: Path, queue: JobQueue, clock: Clock) -> None:
    watched = WatchedFolder(folder, folder.parent / "out", queue, 10)
    ct = folder / "ct.nii.gz"
    for size in range(1, 5):
        ct.write_bytes(b"x" * size)
        clock.now += 9
        assert watched.look() == []
    clock.now += 11
    [job] = watched.look()
    assert (job.state, job.source) == (State.RECEIVED, str(ct))
    clock.now += 11
    assert watched.look() == []


def test_folders_zips_and_nifti_are_taken_and_nothing_else(folder: Path, look: Callable[[], list[str]]) -> None:
    (folder / "study" / "deep").mkdir(parents=True)
    (folder / "study" / "deep" / "IM1").write_bytes(b"x")
    for name in ("b.zip", "c.nii", "d.NII.GZ", "e.hdr", "e.img", "notes.txt", "IM2.dcm", ".hidden.nii", "f.zip.part"):
        (folder / name).write_bytes(b"x")
    (folder / "empty").mkdir()
    (folder / "empty.zip").touch()
    os.mkfifo(folder / "pipe.nii")
    assert look() == ["b.zip", "c.nii", "d.NII.GZ", "e.hdr", "study"]


def test_a_study_that_still_grows_waits(folder: Path, queue: JobQueue, clock: Clock) -> None:
    watched = WatchedFolder(folder, folder.parent / "out", queue, 10)
    (folder / "study").mkdir()
    for number in range(4):
        (folder / "study" / f"IM{number}").write_bytes(b"x")
        assert watched.look() == []
        clock.now += 9
    clock.now += 2
    assert names(watched.look()) == ["study"]


def test_a_ct_is_taken_once_by_all_processes_and_again_when_it_changed(
    folder: Path, queue: JobQueue, look: Callable[[], list[str]], clock: Clock
) -> None:
    ct = folder / "ct.nii"
    ct.write_bytes(b"one")
    assert look() == ["ct.nii"]
    [job] = queue.jobs()
    job.state = State.DONE
    queue.save(job)
    assert look() == []
    successor = WatchedFolder(folder, folder.parent / "out", queue, 10)
    successor.look()
    clock.now += 11
    assert successor.look() == []
    ct.write_bytes(b"another")
    assert look() == ["ct.nii"]
    assert len(queue.jobs()) == 1
    ct.write_bytes(b"changed while it is segmented")
    assert look() == [], "not before that is done"
    queue.jobs()[0].state = State.FAILED
    assert look() == ["ct.nii"]


def test_the_job_of_a_ct_that_is_gone_is_forgotten(
    folder: Path, queue: JobQueue, look: Callable[[], list[str]]
) -> None:
    (folder / "ct.nii").write_bytes(b"x")
    look()
    queue.jobs()[0].state = State.DONE
    (folder / "ct.nii").unlink()
    look()
    assert queue.jobs() == []


def test_results_within_the_folder_are_no_input(folder: Path, queue: JobQueue, clock: Clock) -> None:
    output = folder / "results" / "today"
    output.mkdir(parents=True)
    (output / "ct_mask.nii.gz").write_bytes(b"x")
    (folder / "link").symlink_to(folder / "results")
    watched = WatchedFolder(folder, output, queue, 10)
    watched.look()
    clock.now += 11
    assert watched.look() == []


@pytest.mark.parametrize("output", ["in", ".", "in/../in"])
def test_results_may_not_lie_among_the_cts(folder: Path, queue: JobQueue, output: str) -> None:
    with pytest.raises(SettingsError, match="would be taken for CTs"):
        WatchedFolder(folder, folder.parent / output, queue, 10)
    with pytest.raises(InputError, match="There is no folder"):
        WatchedFolder(folder / "none", folder.parent / "out", queue, 10)


def test_two_cts_with_one_result_are_not_both_taken(
    folder: Path, queue: JobQueue, look: Callable[[], list[str]]
) -> None:
    for name in ("a.nii.gz", "a.zip"):
        (folder / name).write_bytes(b"x")
    assert look() == ["a.nii.gz", "a.zip"]
    assert [job.state for job in queue.jobs()] == [State.RECEIVED, State.FAILED]
    assert "Rename one" in (folder.parent / "out" / "a.zip_failed.txt").read_text()


def test_a_failure_is_told_beside_the_results(folder: Path, queue: JobQueue) -> None:
    watched, ct = WatchedFolder(folder, folder.parent / "out", queue, 10), folder / "Doe_Jane.zip"
    job = queue.add("key", State.FAILED, str(ct), problem="The CT holds no CT series.")
    watched.tell(job)
    told = folder.parent / "out" / "Doe_Jane.zip_failed.txt"
    assert told.read_text() == "The CT holds no CT series.\n"
    job.state = State.DONE
    watched.tell(job)
    assert not told.exists()


def test_sentences_lose_the_names_of_files() -> None:
    ct = Path("/data/in/a.nii.gz")
    for sentence, expected in (
        ("a.nii.gz is damaged, not as a CT.", "The CT is damaged, not as a CT."),
        ("There is no file /data/in/a.nii.gz.", "There is no file The CT."),
        ("a_mask.nii.gz was not written: the disk is full.", "The result was not written: the disk is full."),
    ):
        assert without_names(sentence, ct) == expected


def test_a_stamp_is_of_names_sizes_and_times(folder: Path) -> None:
    assert stamp_of(folder) is None
    assert stamp_of(folder / "none") is None
    (folder / "a").write_bytes(b"x")
    first = stamp_of(folder)
    assert first == stamp_of(folder)
    os.utime(folder / "a", ns=(1, 1))
    second = stamp_of(folder)
    (folder / "a").rename(folder / "b")
    os.utime(folder / "b", ns=(1, 1))
    assert len({first, second, stamp_of(folder)}) == 3
    for name in ("h.hdr", "h.img"):
        (folder / name).write_bytes(b"x")
    pair = stamp_of(folder / "h.hdr")
    (folder / "h.img").write_bytes(b"xy")
    assert pair != stamp_of(folder / "h.hdr")
