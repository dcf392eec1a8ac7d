"""The file of an autosaved case: an SQLite database with checksums, and a lock beside it while a process writes it."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from kidneyseg.editing.change import Change
from kidneyseg.files import sync_folder

SUFFIX = ".autosave"
# SQLite's own files beside the database, and the lock, which goes last.
COMPANIONS = (f"{SUFFIX}-journal", f"{SUFFIX}-wal", f"{SUFFIX}-shm", ".lock")
FORMAT = 1
_SCHEMA = (
    "CREATE TABLE head (text TEXT NOT NULL, state TEXT NOT NULL, crc INTEGER NOT NULL)",
    "CREATE TABLE step (serial INTEGER PRIMARY KEY, text TEXT NOT NULL, change BLOB NOT NULL, crc INTEGER NOT NULL)",
    f"PRAGMA user_version = {FORMAT}",
)


class Row(NamedTuple):
    """One step as it is stored: JSON with its name and the origin of the networks' labels after it, and its change."""

    text: str
    change: Change


class DamagedError(Exception):
    """The file holds something else than was written to it."""


class Database:
    """The database of one case, locked against other processes. Used by one thread.

    Raises:
        BlockingIOError: another process has it.
        OSError, sqlite3.Error: it cannot be opened, or, where it is missing, not created.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._path = path
        if not create:
            path.stat()  # a missing file gets no lock
        with ExitStack() as opened:
            opened.enter_context(locked(path))
            if create and not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
            self._inode = path.stat().st_ino
            self._connection = opened.enter_context(closing(_connected(path)))
            self.version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]  # 0: nothing was written
            serials = self._connection.execute("SELECT serial FROM step") if self.version else ()
            self._serials = {serial for (serial,) in serials}
            self._opened = opened.pop_all()

    @property
    def in_place(self) -> bool:
        """Whether the file is still where it was opened: SQLite goes on to write a file that was deleted."""
        with suppress(OSError):
            return self._path.stat().st_ino == self._inode
        return False

    def write(self, head: Mapping[str, Any], state: str, rows: Mapping[int, Row]) -> None:
        """Make the content equal to this, in one durable transaction. A serial number always means the same row."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        created = self.version == 0
        if created:
            for statement in _SCHEMA:
                run(statement)
        for serial in self._serials - rows.keys():
            run("DELETE FROM step WHERE serial = ?", (serial,))
        for serial in sorted(rows.keys() - self._serials):
            text, change = rows[serial].text, rows[serial].change.to_bytes()
            run("INSERT INTO step VALUES (?, ?, ?, ?)", (serial, text, change, _crc(str(serial), text, change)))
        text = json.dumps(head)
        run("DELETE FROM head")
        run("INSERT INTO head VALUES (?, ?, ?)", (text, state, _crc(text, state)))
        run("COMMIT")
        self._serials, self.version = set(rows), FORMAT
        if created:
            run("PRAGMA journal_mode = WAL")  # one sync per change from here on
            sync_folder(self._path.parent)

    def head(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the case is, and the caller's state. Raises DamagedError."""
        ((text, state, crc),) = self._connection.execute("SELECT text, state, crc FROM head").fetchall()
        if crc != _crc(text, state):
            raise DamagedError
        return json.loads(text), json.loads(state)

    def row(self, serial: int) -> Row:
        """One step. Raises DamagedError, or InputError for a damaged change."""
        found = self._connection.execute("SELECT text, change, crc FROM step WHERE serial = ?", (serial,)).fetchone()
        if found is None or found[2] != _crc(str(serial), found[0], found[1]):
            raise DamagedError
        return Row(found[0], Change.from_bytes(found[1]))

    def close(self) -> None:
        """Give the file up. What was not committed is left out."""
        self._opened.close()

    def remove(self) -> None:
        """Remove the file, and give it up."""
        unlink(self._path)
        self._opened.close()


def unlink(path: Path) -> None:
    """Remove a database with its companions; its lock is held."""
    for each in (path, *(path.with_name(path.name.removesuffix(SUFFIX) + end) for end in COMPANIONS)):
        with suppress(OSError):
            each.unlink()


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=1)
    try:
        # No process shares the file, and without shared memory it works on network file systems, too.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from a database. Raises BlockingIOError where one has it, or OSError.

    The lock is a file beside it: to close any descriptor of the database itself would give up SQLite's locks on it.
    """
    lock = path.with_suffix(".lock")
    held = False
    while not held:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):  # another process removed it in the instant before it was locked
                held = lock.stat().st_ino == os.fstat(descriptor).st_ino
            if held:
                yield
        finally:
            os.close(descriptor)


def _crc(*parts: str | bytes) -> int:
    value = 0
    for part in parts:
        value = zlib.crc32(part.encode() if isinstance(part, str) else part, value)
    return value
