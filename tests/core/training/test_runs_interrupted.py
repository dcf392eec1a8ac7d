"""A training process that is killed or interrupted continues to the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from kidneyseg.interrupts import stop_on_signals


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """The toy's training in a process of its own."""
    command = [
        sys.executable,
        str(Path(__file__).parents[2] / "helpers" / "bright_ball.py"),
        str(folder),
        *map(str, arguments),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def read_until(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        if line.startswith(beginning):
            return
        said.append(line)
    raise AssertionError("".join(said))


def test_a_killed_or_interrupted_process_continues_to_the_same_weights(tmp_path: Path, device: str) -> None:
    with start(tmp_path / "whole", device, 12, 2, 0) as whole:
        with start(tmp_path / "parts", device, 12, 2, 0.05) as first:
            read_until(first, "step 5,")
            first.kill()  # after the checkpoint of step 3
        with start(tmp_path / "parts", device, 12, 2, 0.05) as second:
            read_until(second, "step 4,")
            read_until(second, "step 6,")
            second.send_signal(signal.SIGTERM)
            read_until(second, "stopped ")
            assert second.wait() == 0
        with start(tmp_path / "parts", device, 12, 2, 0) as last:
            assert last.wait() == 0
        assert whole.wait() == 0
    weights = [torch.load(tmp_path / each / "weights.pt", weights_only=True) for each in ("whole", "parts")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    logs = [(tmp_path / each / "log.csv").read_text() for each in ("whole", "parts")]
    assert [line.split(",")[0] for line in logs[1].splitlines()] == ["step", "4", "8", "12"]
    # Losses are averaged over the steps since the row before, also across an interruption.
    assert logs[0] == logs[1]


def test_outside_the_main_thread_signals_keep_their_handlers() -> None:
    handlers = []

    def work() -> None:
        with stop_on_signals() as stop:
            handlers.extend([signal.getsignal(signal.SIGINT), stop.is_set()])

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before, False]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_the_second_has_its_usual_effect(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert signal.getsignal(number) != before
        signal.raise_signal(number)
        assert stop.is_set()
        assert signal.getsignal(number) == before
