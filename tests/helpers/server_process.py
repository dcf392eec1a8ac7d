"""A `kidneyseg` server in a process of its own, which tests kill."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

PATIENCE_S = 90.0
_HERE = (sys.executable, "-m", "kidneyseg")


def wait_for(condition: Callable[[], Any]) -> Any:
    """What a condition gives once that is true."""
    ends = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.02)
    return found


class ServerProcess:
    """`kidneyseg serve-dicom` or `watch-folder`. As a context manager it runs, and is killed at the end."""

    def __init__(self, command: str, *arguments: str | Path, start: Sequence[str] = _HERE) -> None:
        """Prepare; the queue is named by --queue, and `start` begins the command line."""
        self._command = [*start, command, *map(str, arguments)]
        self._queue = Path(self._command[self._command.index("--queue") + 1])
        self._process: Any = None
        self.lines: list[str] = []

    def __enter__(self) -> ServerProcess:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_for(lambda: self.lines)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._wait()

    def stop(self) -> int:
        """End it by SIGTERM; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._wait()

    @property
    def port(self) -> int:
        """Where it listens."""
        found = re.search(r"port (\d+)", wait_for(lambda: next((one for one in self.lines if "Listening" in one), "")))
        assert found is not None
        return int(found[1])

    def job(self, number: int = 1) -> dict[str, Any]:
        """The record of a job, {} where there is none."""
        record = self._queue / f"job-{number}" / "job.json"
        made: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {}
        return made

    def wait_for_state(self, state: str, number: int = 1) -> None:
        """Wait until a job is in a state."""
        wait_for(lambda: self.job(number).get("state") == state)

    def _read(self) -> None:
        for line in iter(self._process.stdout.readline, ""):
            self.lines.append(line.rstrip())

    def _wait(self) -> int:
        code = int(self._process.wait(PATIENCE_S))
        self._reader.join()
        self._process.stdout.close()
        return code
