"""Autosave of the open case: each change is on disk within moments, so that a crash or power cut loses none."""

from __future__ import annotations

import errno
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from kidneyseg.editing.change import Change, merged
from kidneyseg.editing.journal_file import SUFFIX, Database, Row
from kidneyseg.imaging.volume import Volume

# The state changes with every move of the crosshair: it is written this late, or with the next step.
_STATE_DELAY_S = 0.3
_RETRY_S = 1.0
UNDO_LIMIT = 200
# As many steps that can no longer be undone are merged at once: each time takes as long as the whole mask.
_MERGED_AT_ONCE = 25


class Step(NamedTuple):
    """One entry of the undo list."""

    name: str  #: for the menu
    change: Change  #: of the mask
    #: JSON values that say how the networks' labels below the user's were made; None where the step did not change
    #: those
    result: Mapping[str, Any] | None = None


@dataclass
class _Content:
    """What the file is to hold. Steps have serial numbers, so that only those that are new are written."""

    ct: dict[str, Any]
    base: int
    steps: list[int]
    position: int
    rows: dict[int, Row]
    state: str
    discarded: list[int] = field(default_factory=list)  # oldest steps that are not merged into the base yet

    def head(self) -> dict[str, Any]:
        lists = {"base": self.base, "discarded": [*self.discarded], "steps": [*self.steps], "position": self.position}
        return {**self.ct, **lists, "saved": time.time()}


class Journal:
    """Writes one open case to a file of its own in a folder, from a thread of its own.

    No call waits for the disk, and none raises because of it. The file holds the CT's path, shape, spacing and a hash
    of its HU, the mask as changes, and what the caller gives as state; only the user may read it. It is removed by
    `close(keep=False)`. Where it stays behind, `recovery.find_abandoned` finds it.
    """

    def __init__(
        self, folder: Path, on_trouble: Callable[[str], None] = lambda _: None, *, undo_limit: int = UNDO_LIMIT
    ) -> None:
        """Start the thread.

        Args:
            folder: of all journals; made, for this user alone, where it is missing.
            on_trouble: called in the journal's thread with a sentence for the user when writing fails, and with an
                empty one when it works again. Everything is kept in memory and tried again.
            undo_limit: how many steps can be undone.
        """
        self.path = folder / f"{secrets.token_hex(8)}{SUFFIX}"
        self._on_trouble, self._undo_limit = on_trouble, undo_limit
        self._serial = count(1)
        self._changed = threading.Condition()  # guards all below
        self._content: _Content | None = None
        self._version, self._written = 0, 0
        self._due: float | None = None
        self._closing, self._keep = False, True
        self._database: Database | None = None  # the thread's own
        self._thread = threading.Thread(target=self._run, name="autosave", daemon=True)
        self._thread.start()

    # Called by the window

    def begin(
        self,
        volume: Volume,
        base: Change,
        state: Mapping[str, Any],
        *,
        result: Mapping[str, Any] | None = None,
        steps: Iterable[Step] = (),
        position: int = 0,
    ) -> None:
        """Start with a case, in place of what the journal held.

        Args:
            volume: the CT.
            base: what makes the mask before the oldest step of an empty one; see `EditedMask.whole`.
            state: settings, window, crosshair and so on, as JSON values.
            result: see `Step`, of the base.
            steps: the undo list, oldest first.
            position: how many of them are carried out.
        """
        rows = {next(self._serial): _row(step) for step in (Step("", base, result), *steps)}
        first, *others = rows
        if not 0 <= position <= len(others):
            raise ValueError(f"there is no position {position} in {len(others)} steps")
        path = None if volume.path is None else os.path.abspath(volume.path)
        spacing = [float(size) for size in volume.spacing_mm]
        ct = {"ct": path, "shape": list(volume.shape), "spacing_mm": spacing, "hu_sha256": None}
        with self._changed:
            self._content = _Content(ct, first, others, position, rows, json.dumps(state))
            self._touch()
        # Takes a fifth of a second or more: edits are not to wait for it.
        threading.Thread(target=self._hash, args=(volume, ct), name="autosave hash", daemon=True).start()

    def push(self, position: int, name: str, change: Change, result: Mapping[str, Any] | None = None) -> None:
        """Add a step that was carried out after the first `position` steps; those after them are dropped.

        Beyond the undo limit the oldest step can no longer be undone, and positions are counted from the next one on.
        """
        row = _row(Step(name, change, result))
        with self._changed:
            content = self._at(position)
            for dropped in content.steps[position:]:
                del content.rows[dropped]
            serial = next(self._serial)
            content.rows[serial] = row
            content.steps[position:] = [serial]
            # With a full undo list the oldest step goes, in the same write: the file never holds one step too many.
            excess = max(len(content.steps) - self._undo_limit, 0)
            content.discarded += content.steps[:excess]
            del content.steps[:excess]
            content.position = position + 1 - excess
            self._touch()

    def move(self, position: int) -> None:
        """Note an undo or redo: the first `position` steps are now carried out."""
        with self._changed:
            self._at(position).position = position
            self._touch()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state, JSON values; it is written a little later, so it may change often."""
        text = json.dumps(state)
        with self._changed:
            self._at(0).state = text
            self._touch(_STATE_DELAY_S)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all of it is on disk; False where that takes longer or fails."""
        with self._changed:
            wanted = self._version
            if self._written < wanted:
                self._due = time.monotonic()
                self._changed.notify_all()
            return self._changed.wait_for(lambda: self._written >= wanted, timeout)

    def close(self, keep: bool, timeout: float = 5.0) -> bool:
        """End the thread, and remove the file unless it is to be kept. False where that failed or takes longer."""
        with self._changed:
            self._closing, self._keep = True, keep
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive() and (not keep or self._written == self._version)

    def _at(self, position: int) -> _Content:
        if self._content is None:
            raise ValueError("the journal holds no case yet")
        if not 0 <= position <= len(self._content.steps):
            raise ValueError(f"there is no position {position} in {len(self._content.steps)} steps")
        return self._content

    def _touch(self, delay_s: float = 0.0) -> None:
        """Have the thread write; the condition is held."""
        due = time.monotonic() + delay_s
        self._version += 1
        self._due = due if self._due is None else min(self._due, due)
        self._changed.notify_all()

    # Threads

    def _hash(self, volume: Volume, ct: dict[str, Any]) -> None:
        value = volume.hu_sha256
        with self._changed:
            ct["hu_sha256"] = value
            self._touch()

    def _run(self) -> None:
        trouble = ""
        while self._wait():
            before, trouble = trouble, ""
            try:
                self._write()
                self._merge_discarded()
            except Exception as error:  # whatever it is, saving must not end without a word
                self._give_up(error)
                trouble = _sentence(error)
            if bool(trouble) != bool(before):
                self._on_trouble(trouble)
        self._end()

    def _wait(self) -> bool:
        """Wait until something is to be written; False at the end."""
        with self._changed:
            while not self._closing and (self._due is None or self._due > time.monotonic()):
                self._changed.wait(None if self._due is None else self._due - time.monotonic())
            return not self._closing

    def _write(self) -> None:
        """Bring the file up to date."""
        with self._changed:
            self._due = None
            content, version = self._content, self._version
            if content is None or version == self._written:
                return
            head, state, rows = content.head(), content.state, dict(content.rows)
        if self._database is not None and not self._database.in_place:
            self._database.close()
            self._database = None
        if self._database is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(PermissionError):  # another user's folder
                self.path.parent.chmod(0o700)
            self._database = Database(self.path, create=True)
        self._database.write(head, state, rows)
        with self._changed:
            self._written = version
            self._changed.notify_all()

    def _merge_discarded(self) -> None:
        """Make one base of the old one and the steps that can no longer be undone, once these are many."""
        with self._changed:
            content = self._content
            if content is None or len(content.discarded) < _MERGED_AT_ONCE:
                return
            serials = [content.base, *content.discarded]
            rows = [content.rows[serial] for serial in serials]
        change = merged([row.change for row in rows])
        results = [json.loads(row.text)["result"] for row in rows]
        row = _row(Step("", change, next((r for r in reversed(results) if r is not None), None)))
        with self._changed:
            if content is not self._content:  # another case has begun
                return
            content.base = next(self._serial)
            content.rows[content.base] = row
            for serial in serials:
                del content.rows[serial]
            del content.discarded[: len(serials) - 1]
            self._touch()

    def _give_up(self, error: Exception) -> None:
        """Close the file after a failure, to try again later."""
        if self._database is not None:
            if type(error) is sqlite3.DatabaseError:  # malformed: it is written anew
                self._database.remove()
            else:
                self._database.close()
            self._database = None
        with self._changed:
            self._due = time.monotonic() + _RETRY_S

    def _end(self) -> None:
        if self._keep:
            with suppress(Exception):  # `close` says whether all was written
                self._write()
        if self._database is not None:
            if self._keep:
                self._database.close()
            else:
                self._database.remove()


def _row(step: Step) -> Row:
    return Row(json.dumps({"name": step.name, "result": step.result}), step.change)


def _sentence(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    number = error.errno if isinstance(error, OSError) else None
    if code == sqlite3.SQLITE_FULL or number in (errno.ENOSPC, errno.EDQUOT):
        why, mend = "the disk is full", "free some space"
    elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM) or isinstance(error, OSError):
        why, mend = "its folder cannot be written", "make it writable"
    else:
        why, mend = f"writing failed ({error})", "check the disk"
    return f"Autosave does not work: {why}. Your corrections are kept in the window; {mend}, or save the mask yourself."
