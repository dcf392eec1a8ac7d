"""The journal: what it writes is what was done, nothing waits for the disk, and a failing disk is reported once."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from editing_script import UNDO_LIMIT, Session, fingerprint, the_ct
from kidneyseg.editing import Change
from kidneyseg.editing.journal import Journal
from kidneyseg.editing.journal_file import Database
from kidneyseg.editing.recovery import Recovered, read
from kidneyseg.imaging.volume import Volume


@pytest.fixture(autouse=True)
def retries_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kidneyseg.editing.journal._RETRY_S", 0.01)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    one = Journal(tmp_path / "autosave", undo_limit=UNDO_LIMIT)
    yield one
    one.close(keep=False)


def kept(journal: Journal) -> Recovered:
    assert journal.close(keep=True)
    return read(journal.path)


def assert_kept(journal: Journal, session: Session) -> Recovered:
    recovered = kept(journal)
    mask = recovered.restore(the_ct())
    state = fingerprint(session.mask, session.steps, session.position)
    assert fingerprint(mask, list(recovered.steps), recovered.position) == state
    return recovered


def a_change(first: int, count: int = 5) -> Change:
    index = np.arange(first, first + count, dtype=np.uint32)
    return Change.of_voxels(index, np.zeros((count, 2), np.uint8), np.full((count, 2), [1, 1], np.uint8))


@pytest.mark.parametrize("operations", [0, 1, 40, 160])
def test_what_was_done_can_be_recovered(journal: Journal, operations: int) -> None:
    session = Session(journal)
    for k in range(operations):
        session.run(k)
    recovered = assert_kept(journal, session)
    assert recovered.state == {"operation": operations - 1}
    assert len(recovered.steps) <= UNDO_LIMIT
    for step, own in zip(recovered.steps, session.steps, strict=True):
        assert step.change.to_bytes() == own.change.to_bytes()
        assert step.result == own.result


def test_steps_that_cannot_be_undone_become_part_of_the_base(journal: Journal) -> None:
    journal.begin(the_ct(), a_change(0), {}, result={"run": 0})
    for k in range(60):
        journal.push(min(k, UNDO_LIMIT), f"step {k}", a_change(10 * (k + 1)), {"run": k} if k == 30 else None)
        journal.flush()
    assert len(journal._content.rows) < 40  # type: ignore[union-attr]  # some were merged
    recovered = kept(journal)
    assert [step.name for step in recovered.steps] == [f"step {k}" for k in range(60 - UNDO_LIMIT, 60)]
    assert recovered.position == UNDO_LIMIT
    assert recovered.result == recovered.base.result == {"run": 30}
    assert recovered.base.change.start.tolist() == [10 * k for k in range(61 - UNDO_LIMIT)]


def test_the_origin_of_the_labels_is_that_of_the_position(journal: Journal) -> None:
    journal.begin(the_ct(), Change.none(), {})
    journal.push(0, "networks", a_change(0), {"run": 1})
    journal.push(1, "paint", a_change(10))
    journal.push(2, "networks", a_change(20), {"run": 2})
    journal.move(2)
    assert kept(journal).result == {"run": 1}


def test_a_case_can_go_on_in_a_new_journal(tmp_path: Path, journal: Journal) -> None:
    session = Session(journal)
    for k in range(30):
        session.run(k)
    old = kept(journal)
    again = Journal(tmp_path / "autosave", undo_limit=UNDO_LIMIT)
    again.begin(the_ct(), old.base.change, old.state, result=old.base.result, steps=old.steps, position=old.position)
    assert_kept(again, session)


def test_only_the_user_may_read_it_and_it_names_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "autosave"
    volume = the_ct()
    named = Volume(volume.hu, volume.spacing_mm, volume.affine, name="Doe", notes=("Jane",), path=Path("/in/ct.nii"))
    journal = Journal(folder)
    journal.begin(named, Change.none(), {})
    assert journal.flush()
    journal.push(0, "paint", a_change(0))
    assert journal.flush()
    files = list(folder.iterdir())
    assert {path.suffix for path in files} >= {".autosave", ".lock", ".autosave-wal"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    content = b"".join(path.read_bytes() for path in files)
    assert b"/in/ct.nii" in content
    assert b"Doe" not in content
    assert b"Jane" not in content
    assert journal.close(keep=False)
    assert list(folder.iterdir()) == []


def test_no_call_waits_for_the_disk(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.begin(the_ct(), Change.none(), {})
    assert journal.flush()
    go, write = threading.Event(), Database.write

    def slow(self: Database, *arguments: Any) -> None:
        assert go.wait(10)
        write(self, *arguments)

    monkeypatch.setattr(Database, "write", slow)
    for k in range(UNDO_LIMIT):
        journal.push(k, "paint", a_change(10 * k))
        journal.move(k)
        journal.move(k + 1)
        journal.set_state({"k": k})
    assert not journal.flush(0.01)  # nothing was written, and nothing above waited
    go.set()
    assert journal.flush()
    assert len(kept(journal).steps) == UNDO_LIMIT


def test_states_that_follow_each_other_are_written_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.begin(the_ct(), Change.none(), {})
    while not journal.flush() or journal._content.ct["hu_sha256"] is None:  # type: ignore[union-attr]
        time.sleep(0.001)
    assert journal.flush()
    writes, write = [], Database.write

    def counted(self: Database, *arguments: Any) -> None:
        writes.append(1)
        write(self, *arguments)

    monkeypatch.setattr(Database, "write", counted)
    for k in range(200):
        journal.set_state({"k": k})
    assert kept(journal).state == {"k": 199}
    assert len(writes) == 1


def failing_disk(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Writes fail until the event is set."""
    repaired, write = threading.Event(), Database.write

    def broken(self: Database, *arguments: Any) -> None:
        if not repaired.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, *arguments)

    monkeypatch.setattr(Database, "write", broken)
    return repaired


def test_a_full_disk_is_reported_once_and_everything_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repaired = failing_disk(monkeypatch)
    sentences: list[str] = []
    journal = Journal(tmp_path, sentences.append)
    journal.begin(the_ct(), Change.none(), {})
    for k in range(5):
        journal.push(k, "paint", a_change(10 * k))
        assert not journal.flush(0.02)
    assert [sentence.split(".")[0] for sentence in sentences] == ["Autosave does not work: the disk is full"]
    repaired.set()
    assert journal.flush()
    assert len(kept(journal).steps) == 5
    journal.close(keep=False)
    assert sentences[1:] == [""]  # it works again


def test_closing_says_when_the_end_could_not_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_disk(monkeypatch)
    journal = Journal(tmp_path)
    journal.begin(the_ct(), Change.none(), {})
    assert not journal.close(keep=True)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sentences: list[str] = []
    journal = Journal(tmp_path / "file" / "autosave", sentences.append)
    journal.begin(the_ct(), Change.none(), {})
    assert not journal.flush(0.2)
    assert "its folder cannot be written" in sentences[0]
    (tmp_path / "file").unlink()
    assert journal.flush()
    journal.close(keep=False)


def test_a_folder_that_vanishes_is_made_anew(journal: Journal) -> None:
    session = Session(journal)
    for k in range(20):
        session.run(k)
    assert journal.flush()
    shutil.rmtree(journal.path.parent)
    session.run(20)
    assert journal.flush()
    assert_kept(journal, session)


def test_a_file_that_breaks_is_written_anew(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(journal)
    for k in range(20):
        session.run(k)
    assert journal.flush()
    write, broken = Database.write, threading.Event()

    def malformed(self: Database, *arguments: Any) -> None:
        if not broken.is_set():
            broken.set()
            journal.path.write_bytes(b"no database" * 1000)
            raise sqlite3.DatabaseError("database disk image is malformed")
        write(self, *arguments)

    monkeypatch.setattr(Database, "write", malformed)
    session.run(20)
    assert journal.flush()
    assert_kept(journal, session)


def test_positions_that_do_not_exist_are_refused(journal: Journal) -> None:
    with pytest.raises(ValueError, match="no case"):
        journal.move(0)
    journal.begin(the_ct(), Change.none(), {})
    journal.push(0, "paint", a_change(0))
    journal.move(0)
    for wrong in (lambda: journal.move(2), lambda: journal.push(2, "", a_change(0))):
        with pytest.raises(ValueError, match="no position"):
            wrong()
    with pytest.raises(ValueError, match="no position"):
        journal.begin(the_ct(), Change.none(), {}, position=1)
