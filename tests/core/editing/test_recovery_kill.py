"""Editing processes are killed at random moments: each case is recovered, and at most its last 2 s are lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import editing_script
from editing_script import Session, fingerprint, the_ct
from kidneyseg.editing.recovery import Recovered, find_abandoned, read

KILLS = 50
LOST_S = 2.0
LONGEST_S = 3.2


def test_a_kill_at_any_moment_loses_at_most_two_seconds_and_no_voxel(tmp_path: Path) -> None:
    moments = np.random.default_rng(21).uniform(0, LONGEST_S, KILLS).tolist()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, editing_script.__file__, str(tmp_path), json.dumps(moments)]
    done = subprocess.run(program, capture_output=True, text=True, check=True, env=environment)
    killed: list[float] = json.loads(done.stdout)
    logs = [tmp_path / f"{i}.log" for i in range(KILLS)]
    finished = [[float(line) for line in log.read_text().split()] if log.exists() else [] for log in logs]
    states = replayed(max(map(len, finished)))
    lost = []
    for i in range(KILLS):
        durable = sum(moment < killed[i] - LOST_S for moment in finished[i])
        found = find_abandoned(tmp_path / str(i))
        assert found or not durable, f"session {i} left nothing"
        if found:
            recovered = read(found[0].path)
            last = last_operation(recovered, states)
            assert last >= durable, f"session {i} lost {durable - last} operations older than {LOST_S} s"
            lost.append(len(finished[i]) - last)
    print(f"recovered {len(lost)} of {KILLS}; operations lost at the kill: {np.bincount(np.maximum(lost, 0)).tolist()}")
    assert len(lost) > KILLS / 2
    assert np.median(lost) <= 2


def replayed(operations: int) -> list[object]:
    """The state after 0, 1, ... operations, and one more, which a killed process may have saved and not noted."""
    session = Session()
    states: list[object] = [fingerprint(session.mask, session.steps, session.position)]
    for k in range(operations + 1):
        session.run(k)
        states.append(fingerprint(session.mask, session.steps, session.position))
    return states


def last_operation(recovered: Recovered, states: list[object]) -> int:
    """After how many operations the script was in this very state; at the most, as undo and redo repeat states."""
    mask = recovered.restore(the_ct())
    state = fingerprint(mask, list(recovered.steps), recovered.position)
    assert state in states, "the recovered case is in a state that the script never was in"
    return max(k for k, other in enumerate(states) if other == state)
