"""A scripted editing session, and a program that runs many of them and kills each at its moment.

    python editing_script.py FOLDER MOMENTS    (JSON list of seconds after the start)

prints the moments (time.monotonic) of the kills as JSON. Session i writes FOLDER/i/*.autosave, and FOLDER/i.log with
the moment at which each operation was done.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Hashable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kidneyseg.editing import Change, EditedMask, Voxels
from kidneyseg.editing.journal import Journal, Step
from kidneyseg.imaging.volume import Volume

SHAPE = (96, 96, 48)
UNDO_LIMIT = 12
MOST_AT_ONCE = 25
PAUSES_S = (0.005, 0.03, 0.06)  # the first is busy: its kills often come amid a write


@cache
def the_ct() -> Volume:
    hu = np.asfortranarray(np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16))
    return Volume(hu, (4.0, 4.0, 6.0), np.diag([4.0, 4.0, 6.0, 1.0]), path=Path("/data/ct.nii.gz"))


def ball(rng: np.random.Generator, label: int) -> tuple[NDArray[np.bool_], Voxels]:
    radius = int(rng.integers(2, 9))
    low = [int(rng.integers(0, n - 2 * radius)) for n in SHAPE]
    grid = np.ogrid[(slice(-radius, radius),) * 3]
    inside = sum(g.astype(float) ** 2 for g in grid) <= radius**2
    x, y, z = (slice(start, start + 2 * radius) for start in low)
    whole = np.zeros(SHAPE, np.bool_)
    whole[x, y, z] = inside
    return whole, Voxels.of_box((x, y, z), inside, label, SHAPE)


class Session:
    """A user who paints, takes back and runs the networks again; operation k is the same in every process."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.mask = EditedMask(np.zeros(SHAPE, np.uint8))
        self.steps: list[Step] = []
        self.position = 0
        self.journal = journal
        if journal is not None:
            journal.begin(the_ct(), Change.none(), {"operation": -1})

    def run(self, k: int) -> None:
        rng = np.random.default_rng(k)
        kind = rng.random()
        if kind < 0.15 and self.position:
            self._move(self.position - 1)
        elif kind < 0.25 and self.position < len(self.steps):
            self._move(self.position + 1)
        elif kind < 0.3:
            labels = np.where(ball(rng, 1)[0], np.uint8(1), np.uint8(0))
            self._push(Step(f"networks {k}", self.mask.replaced(labels), {"run": k}))
        elif kind < 0.33:
            self._push(Step(f"discard {k}", self.mask.discarded()))
        else:
            self._push(Step(f"paint {k}", self.mask.painted(ball(rng, int(rng.integers(0, 4)))[1])))
        if self.journal is not None:
            self.journal.set_state({"operation": k})

    def _push(self, step: Step) -> None:
        self.mask.apply(step.change)
        self.steps[self.position :] = [step]
        self.position += 1
        if self.journal is not None:
            self.journal.push(self.position - 1, *step)
        if len(self.steps) > UNDO_LIMIT:
            del self.steps[0]
            self.position -= 1

    def _move(self, position: int) -> None:
        while self.position > position:
            self.position -= 1
            self.mask.revert(self.steps[self.position].change)
        while self.position < position:
            self.mask.apply(self.steps[self.position].change)
            self.position += 1
        if self.journal is not None:
            self.journal.move(position)


def fingerprint(mask: EditedMask, steps: list[Step], position: int) -> Hashable:
    """All that a recovered session must agree in; voxels by their hash."""
    voxels = [hashlib.sha256(array.tobytes(order="F")).hexdigest() for array in (mask.labels, mask.marks)]
    return *voxels, tuple(mask.by_hand.items()), position, tuple(step.name for step in steps)


def edit_until_killed(folder: Path, pause_s: float) -> None:
    log = os.open(f"{folder}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    session = Session(Journal(folder, undo_limit=UNDO_LIMIT))
    for k in range(100_000):
        session.run(k)
        os.write(log, f"{time.monotonic()}\n".encode())
        time.sleep(pause_s)


def main(folder: Path, moments: list[float]) -> None:
    killed = [0.0] * len(moments)
    for start in range(0, len(moments), MOST_AT_ONCE):
        batch = range(start, min(start + MOST_AT_ONCE, len(moments)))
        children = {}
        begun = time.monotonic()
        for i in batch:
            children[i] = os.fork()
            if children[i] == 0:
                edit_until_killed(folder / str(i), PAUSES_S[i % len(PAUSES_S)])
        for i in sorted(batch, key=moments.__getitem__):
            time.sleep(max(0.0, begun + moments[i] - time.monotonic()))
            killed[i] = time.monotonic()
            os.kill(children[i], signal.SIGKILL)
        for child in children.values():
            os.waitpid(child, 0)
    print(json.dumps(killed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
