"""./run builds the kernels while pip downloads the packages."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bare_machine import Machine

BUILD = "--no-deps --no-build-isolation --editable"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def at(lines: list[str], start: str, end: str) -> int:
    (index,) = [number for number, line in enumerate(lines) if line.startswith(start) and end in line]
    return index


def test_the_kernels_are_built_beside_the_download(machine: Machine) -> None:
    assert machine.start("run", FAKE_PACKAGES_SECONDS="3", FAKE_PROJECT_SECONDS="0.2").returncode == 0
    lines = machine.calls("pip|finished")
    # They need the build tools, and nothing else.
    assert at(lines, "finished", "/build-requirements.txt") < at(lines, "python", BUILD)
    assert at(lines, "finished", BUILD) < at(lines, "finished", "/requirements.txt")


def test_the_window_waits_for_the_kernels(machine: Machine) -> None:
    done = machine.start("run", FAKE_PROJECT_SECONDS="2")
    assert (done.returncode, done.stdout) == (0, "<>")
    assert "Building the kernels and installing KidneySeg" in done.stderr
    assert len(machine.calls(f"finished.*{BUILD}")) == 1


def test_a_failing_build_is_one_sentence_and_a_log(machine: Machine) -> None:
    done = machine.start("run", FAKE_PROJECT_OUTPUT="noise\nerror: g++ was killed", FAKE_PACKAGES_SECONDS="1")
    assert done.returncode == 2
    log = machine.root / ".setup/setup.log"
    assert done.stderr.splitlines()[-1] == (
        f"run: Installing KidneySeg failed: error: g++ was killed, then start again. Log: {log}"
    )
    assert "error: g++ was killed" in log.read_text()
    machine.calls("")
    assert machine.start("run").returncode == 0
    assert len(machine.calls("python .*-m venv")) == 1  # from the beginning


def test_a_failing_download_ends_the_build(machine: Machine) -> None:
    done = machine.start("run", FAKE_PACKAGES_OUTPUT="ERROR: the index is gone", FAKE_PROJECT_SECONDS="50")
    assert done.returncode == 2
    assert "Installing the packages failed: ERROR: the index is gone" in done.stderr.splitlines()[-1]
    assert wait_for_the_end(machine)


@pytest.mark.parametrize("waits_for", ["PACKAGES", "PROJECT"])
def test_an_interrupt_ends_both(machine: Machine, waits_for: str) -> None:
    seconds = {f"FAKE_{name}_SECONDS": "50" if name == waits_for else "5" for name in ("PACKAGES", "PROJECT")}
    with subprocess.Popen(
        [machine.root / "run", "--setup"],
        env=machine.environment(**seconds),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            seen = BUILD if waits_for == "PACKAGES" else "finished .*/requirements.txt"
            end = time.monotonic() + 30
            while not (machine.diary.exists() and re.search(seen, machine.diary.read_text())):
                assert time.monotonic() < end
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 2, said
    assert "the next start takes it up again" in said
    assert wait_for_the_end(machine)
    machine.calls("")
    assert machine.start("run").returncode == 0
    assert len(machine.calls("python .*-m venv")) == 1


def test_what_reports_may_be_ended_at_once(machine: Machine) -> None:
    """As by a command that takes no time: bash takes the traps from a new process only after a moment."""
    script = """
        root=$1; source "$root/packaging/setup.sh"; mkdir "$state"; touch "$log"
        trap 'say "unexpected"' EXIT; trap 'die "stopped"' INT TERM
        for ((n = 0; n < 100; n++)); do watched nothing true; done
        trap - EXIT
    """
    done = subprocess.run(["bash", "-c", script, "run", machine.root], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def wait_for_the_end(machine: Machine) -> bool:
    """Whether no process of the set-up is left after a moment."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if not processes(machine):
            return True
        time.sleep(0.1)
    return False


def processes(machine: Machine) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes() if folder.name.isdigit() else b""
            if str(machine.root).encode() in words:
                found.append(words.decode())
    return found
