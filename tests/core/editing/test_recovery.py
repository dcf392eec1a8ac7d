"""What an ended process left: found, checked against its CT, refused where it is damaged, and removed in time."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from editing_script import UNDO_LIMIT, Session, the_ct
from kidneyseg.editing import Change
from kidneyseg.editing.journal import Journal
from kidneyseg.editing.journal_file import Database, Row
from kidneyseg.editing.recovery import find_abandoned, prune, read, remove
from kidneyseg.errors import InputError


def abandoned(folder: Path, operations: int = 5) -> Path:
    journal = Journal(folder, undo_limit=UNDO_LIMIT)
    session = Session(journal)
    for k in range(operations):
        session.run(k)
    while journal._content.ct["hu_sha256"] is None:  # type: ignore[union-attr]
        time.sleep(0.001)
    assert journal.close(keep=True)
    return journal.path


def altered(path: Path, **changes: Any) -> None:
    """Change the head of a journal, with a right checksum."""
    with closing(Database(path)) as database:
        head, state = database.head()
        rows = {serial: database.row(serial) for serial in database._serials}
        if "saved" in changes:
            os.utime(path, (changes["saved"],) * 2)
        database.write(head | changes, json.dumps(state), rows)


def test_it_says_which_ct_it_belongs_to(tmp_path: Path) -> None:
    path = abandoned(tmp_path)
    recovered = read(path)
    assert recovered.ct_path == Path("/data/ct.nii.gz")
    assert (recovered.shape, recovered.spacing_mm) == (the_ct().shape, the_ct().spacing_mm)
    assert recovered.hu_sha256 == the_ct().hu_sha256
    assert time.time() - recovered.saved < 60
    assert [one.ct_path for one in find_abandoned(tmp_path)] == [recovered.ct_path]


def test_another_ct_is_refused(tmp_path: Path) -> None:
    recovered = read(abandoned(tmp_path))
    ct = the_ct()
    values = ct.hu.copy(order="F")
    values[0, 0, 0] += 1
    for other, sentence in (
        (replace(ct, hu=ct.hu[:, :, :-1]), r"96 x 96 x 47 voxels, not 96 x 96 x 48"),
        (replace(ct, spacing_mm=(4.0, 4.0, 5.0)), r"4 x 4 x 5 mm large, not 4 x 4 x 6 mm"),
        (replace(ct, hu=values), "other values"),
    ):
        with pytest.raises(InputError, match=rf"is not the CT .*{sentence}.*original file"):
            recovered.restore(other)
    recovered.restore(ct)
    replace(recovered, hu_sha256=None).restore(replace(ct, hu=values))  # the process ended before it was known


@pytest.mark.parametrize("part", ["head", "step", "anywhere", "cut", "text"])
def test_a_damaged_journal_is_refused(tmp_path: Path, part: str) -> None:
    path = abandoned(tmp_path)
    if part in ("head", "step"):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE {part} SET crc = crc + 1")
    else:
        content = bytearray(path.read_bytes())
        for place in np.random.default_rng(0).integers(0, len(content), 2000) if part == "anywhere" else ():
            content[place] ^= 0xFF
        path.write_bytes(content[: len(content) // 2] if part == "cut" else content if part != "text" else b"text" * 99)
    with pytest.raises(InputError, match=r"damaged|cannot be read"):
        read(path)
    assert [one.path for one in find_abandoned(tmp_path)] == [path]


def test_no_flipped_bit_gives_a_wrong_voxel(tmp_path: Path) -> None:
    path = abandoned(tmp_path, 12)
    intact = path.read_bytes()
    expected = read(path).restore(the_ct())
    rng = np.random.default_rng(1)
    refused = 0
    for place in rng.integers(0, len(intact), 60):
        content = bytearray(intact)
        content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            mask = read(path).restore(the_ct())
        except InputError:
            refused += 1
            continue
        np.testing.assert_array_equal(mask.labels, expected.labels)
        np.testing.assert_array_equal(mask.marks, expected.marks)
    assert refused > 10


@pytest.mark.parametrize(
    "changes", [{"position": 99}, {"position": -1}, {"steps": [99]}, {"shape": [9, 9, 9]}, {"shape": None}, {"base": 2}]
)
def test_a_head_that_contradicts_the_steps_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = abandoned(tmp_path)
    altered(path, **changes)
    with pytest.raises(InputError, match="damaged"):
        read(path).restore(the_ct())


@pytest.mark.parametrize(
    ("start", "length", "label", "mark"), [(-3, 9, 1, 1), (0, 1, 4, 0), (0, 1, 1, 5), (0, 0, 1, 1), (5, 9, 1, 1)]
)
def test_impossible_runs_are_refused(tmp_path: Path, start: int, length: int, label: int, mark: int) -> None:
    size = int(np.prod(the_ct().shape))
    starts = np.array([start % size, 10 if start == 5 else size - 1], np.uint32)[: 2 if start == 5 else 1]
    sides = np.zeros((len(starts), 2), np.uint8), np.full((len(starts), 2), [label, mark], np.uint8)
    change = Change(starts, np.full(len(starts), length, np.uint32), *sides)
    head = {"ct": None, "shape": the_ct().shape, "spacing_mm": the_ct().spacing_mm, "hu_sha256": None, "saved": 0.0}
    lists = {"base": 1, "discarded": [], "steps": [], "position": 0}
    path = tmp_path / "one.autosave"
    with closing(Database(path, create=True)) as database:
        database.write(head | lists, "{}", {1: Row('{"name": "", "result": null}', change)})
    with pytest.raises(InputError, match="damaged"):
        read(path)


def test_a_journal_of_a_newer_program_is_not_read(tmp_path: Path) -> None:
    path = abandoned(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(InputError, match="newer KidneySeg"):
        read(path)


def test_journals_in_use_are_neither_offered_nor_removed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    Session(journal)
    assert journal.flush()
    assert find_abandoned(tmp_path) == []
    prune(tmp_path, keep_days=0, most=0)
    remove(journal.path)
    with pytest.raises(InputError, match="another window"):
        read(journal.path)
    assert journal.close(keep=True)
    assert [one.path for one in find_abandoned(tmp_path)] == [journal.path]


def test_what_ended_before_the_first_write_is_not_offered(tmp_path: Path) -> None:
    Database(tmp_path / "one.autosave", create=True).close()
    assert find_abandoned(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    assert find_abandoned(tmp_path / "missing") == []


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no autosaved case"):
        read(tmp_path / "one.autosave")


def test_old_and_excess_journals_are_removed(tmp_path: Path) -> None:
    now = time.time()
    paths = [abandoned(tmp_path, 1) for _ in range(4)]
    for path, days in zip(paths, (0, 5, 10, 40), strict=True):
        altered(path, saved=now - days * 86400)
    assert [one.path for one in find_abandoned(tmp_path)] == paths
    (tmp_path / "lost.lock").touch()
    (tmp_path / "lost.autosave-wal").touch()
    (tmp_path / "notes.txt").touch()
    prune(tmp_path)
    assert [one.path for one in find_abandoned(tmp_path)] == paths[:3]
    assert not list(tmp_path.glob("lost*"))
    prune(tmp_path, most=1)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".autosave", ".lock", ".txt"]
