"""Reads cases that an ended process left autosaved, and removes old ones."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kidneyseg.arrays import times
from kidneyseg.editing.change import Change, Shape, merged
from kidneyseg.editing.journal import Step
from kidneyseg.editing.journal_file import COMPANIONS, FORMAT, SUFFIX, DamagedError, Database, locked, unlink
from kidneyseg.editing.mask import EditedMask
from kidneyseg.errors import InputError
from kidneyseg.imaging.labels import CYST
from kidneyseg.imaging.volume import Volume

_DAY_S = 86400.0
_DAMAGE = (sqlite3.Error, DamagedError, ValueError, KeyError, TypeError)


class Abandoned(NamedTuple):
    """An autosaved case whose process has ended."""

    path: Path  #: of the journal
    saved: float  #: seconds since the epoch, of the last change
    ct_path: Path | None  #: of the CT; None where it came from no file, or the journal is damaged


@dataclass(frozen=True, eq=False)
class Recovered:
    """An autosaved case."""

    path: Path  #: of the journal
    saved: float  #: seconds since the epoch, of the last change
    ct_path: Path | None  #: of the CT; None for one that came from no file
    shape: Shape  #: voxels of the CT along x, y, z
    spacing_mm: tuple[float, float, float]  #: of the CT
    hu_sha256: str | None  #: of the CT's HU; None where the process ended before it was known
    base: Step  #: what makes the mask before the oldest step of an empty one
    steps: tuple[Step, ...]  #: the undo list, oldest first
    position: int  #: how many of the steps are carried out
    state: dict[str, Any]  #: what the caller gave as state

    @property
    def result(self) -> Mapping[str, Any] | None:
        """How the networks' labels at this position were made; see `Step`."""
        done = (self.base, *self.steps[: self.position])
        return next((step.result for step in reversed(done) if step.result is not None), None)

    def restore(self, volume: Volume) -> EditedMask:
        """The mask at this position, over its CT.

        Raises:
            InputError: `volume` is not the CT that the case was saved with, or a stored change cannot be right.
        """
        self._check_same_ct(volume)
        mask = EditedMask(np.zeros(volume.shape, np.uint8, order="F"))
        for step in (self.base, *self.steps):
            if not _follows(step.change, mask):
                raise _damaged(self.path)
            mask.apply(step.change)
        for step in reversed(self.steps[self.position :]):
            mask.revert(step.change)
        return mask

    def _check_same_ct(self, volume: Volume) -> None:
        if volume.shape != self.shape:
            what = f"it has {times(volume.shape)} voxels, not {times(self.shape)}"
        elif not np.allclose(volume.spacing_mm, self.spacing_mm, rtol=1e-4, atol=0):
            what = f"its voxels are {times(volume.spacing_mm)} mm large, not {times(self.spacing_mm)} mm"
        elif self.hu_sha256 not in (None, volume.hu_sha256):
            what = "its voxels have other values"
        else:
            return
        raise InputError(
            f"{volume.name} is not the CT that the corrections were made on: {what}. Put the original file back."
        )


def read(path: Path) -> Recovered:
    """Read an autosaved case.

    Raises:
        InputError: the file is missing, damaged, of a newer KidneySeg, or in use by another process.
    """
    try:
        with closing(Database(path)) as database:
            if database.version > FORMAT:
                raise InputError("The autosaved case is of a newer KidneySeg. Open it with that one.")
            return _read(database, path)
    except BlockingIOError as error:
        raise InputError("The autosaved case is open in another window. Go on there.") from error
    except FileNotFoundError as error:
        raise InputError(f"There is no autosaved case {path}.") from error
    except OSError as error:
        raise InputError(f"The autosaved case {path} cannot be read: {error.strerror}.") from error
    except _DAMAGE as error:
        raise _damaged(path) from error


def find_abandoned(folder: Path) -> list[Abandoned]:
    """The journals in a folder whose process has ended in whatever way, newest first; also damaged ones.

    A journal whose process ended before anything was written is removed.
    """
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(OSError):  # one that a process works on, or another user's
            one = Abandoned(path, path.stat().st_mtime, None)
            with suppress(*_DAMAGE), closing(Database(path)) as database:
                if database.version == 0:
                    database.remove()
                    continue
                head, _ = database.head()
                one = Abandoned(path, head["saved"], None if head["ct"] is None else Path(head["ct"]))
            found.append(one)
    return sorted(found, key=lambda one: -one.saved)


def remove(path: Path) -> None:
    """Remove a journal that no process works on; one that is worked on stays."""
    with suppress(OSError), locked(path):
        unlink(path)


def prune(folder: Path, keep_days: float = 30.0, most: int = 20) -> None:
    """Remove abandoned journals that are older, or more than this many, and files that lost their journal."""
    oldest = time.time() - keep_days * _DAY_S
    for number, one in enumerate(find_abandoned(folder)):
        if number >= most or one.saved < oldest:
            remove(one.path)
    for ending in COMPANIONS:
        for file in folder.glob(f"*{ending}"):
            path = file.with_name(file.name.removesuffix(ending) + SUFFIX)
            if not path.exists():
                remove(path)


def _read(database: Database, path: Path) -> Recovered:
    head, state = database.head()
    (x, y, z), (dx, dy, dz) = head["shape"], head["spacing_mm"]
    rows = [database.row(serial) for serial in (head["base"], *head["discarded"], *head["steps"])]
    steps = [Step(**json.loads(row.text), change=row.change) for row in rows]
    known = len(head["discarded"]) + 1
    results = [step.result for step in steps[:known] if step.result is not None]
    if not all(_possible(step.change, x * y * z) for step in steps) or not 0 <= head["position"] <= len(steps) - known:
        raise DamagedError
    return Recovered(
        path=path,
        saved=head["saved"],
        ct_path=None if head["ct"] is None else Path(head["ct"]),
        shape=(x, y, z),
        spacing_mm=(dx, dy, dz),
        hu_sha256=head["hu_sha256"],
        base=Step("", merged([step.change for step in steps[:known]]), results[-1] if results else None),
        steps=tuple(steps[known:]),
        position=head["position"],
        state=state,
    )


def _possible(change: Change, size: int) -> bool:
    """Whether the runs are in order, within a volume of `size` voxels, and have labels and marks that exist."""
    start, length = change.start.astype(np.int64), change.length.astype(np.int64)
    ends = start + length
    return bool(
        (length > 0).all()
        and (start[1:] >= ends[:-1]).all()
        and (ends[-1:] <= size).all()
        and all((side <= (CYST, CYST + 1)).all() for side in (change.before, change.after))
    )


def _follows(change: Change, mask: EditedMask) -> bool:
    """Whether a change was computed for the mask as it is."""
    index, before = change.index, np.repeat(change.before, change.length, axis=0)
    flat = (array.reshape(-1, order="F") for array in (mask.labels, mask.marks))
    return all((array[index] == before[:, side]).all() for side, array in enumerate(flat))


def _damaged(path: Path) -> InputError:
    return InputError(f"The autosaved case {path.name} is damaged. Open the CT and the mask that was saved last.")
