"""What a job's process does to itself ends the job, not the server; what ends the server ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kidneyseg.errors import Cancelled
from kidneyseg.service import job_process as module
from kidneyseg.service.job_process import NotSegmentedError, segment_job

WAITING = "import time; time.sleep(60)"


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets jobs run another program, which gets the arguments of `kidneyseg`."""
    real = subprocess.Popen

    def use(program: str) -> None:
        def start(command: list[str], **how: Any) -> Any:
            assert command[1:4] == ["-m", "kidneyseg", "segment-job"]
            return real([sys.executable, "-c", program, *command[4:]], **how)

        monkeypatch.setattr(module.subprocess, "Popen", start)

    return use


def run(folder: Path, timeout_s: float = 30, stop: threading.Event | None = None) -> None:
    segment_job(folder / "ct", folder, ["--preset", "default"], timeout_s, stop or threading.Event())


def test_arguments_are_those_of_segment(child: Callable[[str], None], tmp_path: Path) -> None:
    child("import sys; open(sys.argv[3] + '/told', 'w').write(' '.join(sys.argv[1:]))")
    run(tmp_path)
    assert (tmp_path / "told").read_text() == f"{tmp_path}/ct -o {tmp_path} --preset default"


@pytest.mark.parametrize(
    ("program", "sentence", "lasting"),
    [
        ("import sys; print('noise'); sys.exit('kidneyseg: no kidney here')", "no kidney here", False),
        ("import sys; print('kidneyseg: no CT', file=sys.stderr); sys.exit(3)", "no CT", True),
        ("import sys; print('kidneyseg: no setting', file=sys.stderr); sys.exit(2)", "no setting", True),
        ("import sys; print('kidneyseg: disk full', file=sys.stderr); sys.exit(4)", "disk full", False),
        ("import os; os.abort()", "ended by signal 6", False),
        ("raise KeyError('Doe^Jane')", "ended with exit code 1", False),
    ],
)
def test_a_failure_is_one_sentence(
    child: Callable[[str], None], tmp_path: Path, program: str, sentence: str, lasting: bool
) -> None:
    child(program)
    with pytest.raises(NotSegmentedError, match=sentence) as caught:
        run(tmp_path)
    assert caught.value.lasting == lasting
    assert "Doe" not in str(caught.value)


def test_endless_work_is_bounded(child: Callable[[str], None], tmp_path: Path) -> None:
    child(WAITING)
    began = time.monotonic()
    with pytest.raises(NotSegmentedError, match=r"longer than 0\.5 s"):
        run(tmp_path, timeout_s=0.5)
    assert time.monotonic() - began < 20


def test_a_stop_of_the_server_ends_the_process_and_its_children(child: Callable[[str], None], tmp_path: Path) -> None:
    child(
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {WAITING!r}]);"
        " open(sys.argv[3] + '/pid.part', 'w').write(str(p.pid));"
        " import os; os.rename(sys.argv[3] + '/pid.part', sys.argv[3] + '/pid'); p.wait()"
    )
    stop = threading.Event()
    threading.Thread(target=lambda: (appears(tmp_path / "pid"), stop.set())).start()
    with pytest.raises(Cancelled):
        run(tmp_path, stop=stop)
    assert ends(int((tmp_path / "pid").read_text()))


def test_a_killed_server_leaves_no_process(tmp_path: Path) -> None:
    """The real lifeline, in a process whose parent is killed."""
    child = (
        "from kidneyseg.service.job_process import live_with_parent; live_with_parent();"
        f" import os, time; open({str(tmp_path / 'pid.part')!r}, 'w').write(str(os.getpid()));"
        f" os.rename({str(tmp_path / 'pid.part')!r}, {str(tmp_path / 'pid')!r}); time.sleep(60)"
    )
    parent = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}],"
        " stdin=subprocess.PIPE, start_new_session=True).wait()"
    )
    server = subprocess.Popen([sys.executable, "-c", parent])
    appears(tmp_path / "pid")
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, 0)
    server.send_signal(signal.SIGKILL)
    server.wait()
    assert ends(pid)


def appears(path: Path) -> None:
    ends_at = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < ends_at
        time.sleep(0.02)


def ends(pid: int) -> bool:
    """Whether a process ends soon, or has ended; one that nobody waits for is a zombie."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
