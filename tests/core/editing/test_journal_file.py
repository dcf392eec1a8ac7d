"""The database of an autosaved case: transactions, checksums, and one process at a time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.editing import Change
from kidneyseg.editing.journal_file import DamagedError, Database, Row, locked


def row(first: int) -> Row:
    index = np.arange(first, first + 3, dtype=np.uint32)
    return Row(f"row {first}", Change.of_voxels(index, np.zeros((3, 2), np.uint8), np.ones((3, 2), np.uint8)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "one.autosave"
    with closing(Database(path, create=True)) as database:
        database.write({"a": 1}, '{"b": 2}', {1: row(0), 2: row(10)})
        database.write({"a": 2}, '{"b": 3}', {2: row(99), 4: row(20)})  # 2 is there already and is not written again
    return path


def test_only_what_is_wanted_stays(path: Path) -> None:
    with closing(Database(path)) as database:
        assert database.head() == ({"a": 2}, {"b": 3})
        assert [database.row(serial).change.start.tolist() for serial in (2, 4)] == [[10], [20]]
        with pytest.raises(DamagedError):
            database.row(1)


def test_a_write_that_fails_midway_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Database(path)) as database:
        monkeypatch.setattr(Change, "to_bytes", lambda _: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            database.write({"a": 3}, "{}", {7: row(0)})
    with closing(Database(path)) as database:
        assert database.head() == ({"a": 2}, {"b": 3})
        assert database.row(2).text == "row 10"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE head SET text = replace(text, '2', '5')",
        "UPDATE head SET state = '{}'",
        "UPDATE step SET text = 'row 1'",
        "UPDATE step SET change = zeroblob(length(change))",
        "UPDATE step SET serial = serial + 100",
        "DELETE FROM step",
    ],
)
def test_an_altered_record_is_found_out(path: Path, damage: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)
    with closing(Database(path)) as database, pytest.raises(DamagedError):  # noqa: PT012
        database.head()
        for serial in database._serials or {2}:
            database.row(serial)


def test_one_process_at_a_time(path: Path) -> None:
    with closing(Database(path)), pytest.raises(BlockingIOError):
        Database(path)
    with locked(path), pytest.raises(BlockingIOError):
        Database(path)
    Database(path).close()


def test_a_file_that_was_removed_or_replaced_is_not_in_place(path: Path) -> None:
    with closing(Database(path)) as database:
        assert database.in_place
        path.rename(path.with_name("moved"))
        assert not database.in_place
        path.write_bytes(b"")
        assert not database.in_place


def test_removing_leaves_nothing(path: Path) -> None:
    database = Database(path)
    database.write({}, "{}", {})
    database.remove()
    assert list(path.parent.iterdir()) == []


def test_a_missing_file_is_not_created_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Database(tmp_path / "none.autosave")
    assert list(tmp_path.iterdir()) == []
