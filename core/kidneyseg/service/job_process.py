"""Segments the CT of a job in a process of its own, whose crash, endless work or need of memory ends only the job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from kidneyseg.errors import Cancelled

#: how a process is asked to segment a job; `kidneyseg.cli.main` knows it
COMMAND = "segment-job"
_POLL_S = 0.1
_INPUT_ERROR, _SETTINGS_ERROR = 3, 2  # exit codes of the command line
_LONGEST_SENTENCE = 500


class NotSegmentedError(Exception):
    """A job without a result; a sentence."""

    def __init__(self, sentence: str, *, lasting: bool) -> None:
        """`lasting`: another attempt would end in the same way."""
        super().__init__(sentence)
        self.lasting = lasting


def segment_job(ct: Path, output: Path, options: Sequence[str], timeout_s: float, stop: threading.Event) -> None:
    """Run `kidneyseg segment CT -o OUTPUT` with more options, and wait for it.

    Raises:
        NotSegmentedError: it failed, crashed, or took longer than `timeout_s`.
        Cancelled: `stop` was set.
    """
    arguments = [str(ct), "-o", str(output), *options]
    with tempfile.TemporaryFile() as errors:
        # No module is taken from the working folder.
        process = subprocess.Popen(
            [sys.executable, "-m", "kidneyseg", COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | {"PYTHONSAFEPATH": "1"},
            start_new_session=True,
        )
        try:
            code = _wait(process, timeout_s, stop)
        finally:
            _end(process)
        if code:
            raise _failure(code, errors)


def live_with_parent() -> None:
    """End this process, and those that it started, once the other end of its standard input is gone.

    The server holds that end. Where it is killed, no orphan goes on beside the process of its successor.
    """

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)  # not started by `segment_job`: the group may be a shell's

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _wait(process: subprocess.Popen[bytes], timeout_s: float, stop: threading.Event) -> int:
    ends = time.monotonic() + timeout_s
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_POLL_S)
        if stop.is_set():
            raise Cancelled
        if time.monotonic() > ends:
            raise NotSegmentedError(f"The segmentation took longer than {timeout_s:g} s.", lasting=False)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with those that it started, if any still run."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def _failure(code: int, errors: IO[bytes]) -> NotSegmentedError:
    if code < 0:
        return NotSegmentedError(f"The segmentation was ended by signal {-code}.", lasting=False)
    errors.seek(0)
    told = [
        line for line in errors.read(1 << 20).decode(errors="replace").splitlines() if line.startswith("kidneyseg: ")
    ]
    if not told:
        return NotSegmentedError(f"The segmentation ended with exit code {code}.", lasting=False)
    return NotSegmentedError(told[-1][:_LONGEST_SENTENCE], lasting=code in (_INPUT_ERROR, _SETTINGS_ERROR))
