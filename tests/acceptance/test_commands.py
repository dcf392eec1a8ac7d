"""./run and ./check themselves, in a copy of the checkout where Python, pip and apt are stand-ins that keep a diary."""

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bare_machine import LIBRARIES, PYTHON, ROOT, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_help_sets_nothing_up(machine: Machine) -> None:
    for command in ("run", "check"):
        done = machine.start(command, "--help", DISPLAY="")
        assert done.returncode == 0
        assert done.stdout.startswith(f"usage: ./{command}")
    assert not (machine.root / ".venv").exists()


def test_first_start_sets_up_and_the_second_goes_straight_to_the_window(machine: Machine) -> None:
    first = machine.start("run", "a ct.nii.gz", "--flag")
    assert (first.returncode, first.stdout) == (0, "<a ct.nii.gz><--flag>")
    assert "Set up in" in first.stderr
    assert len(machine.calls("python .*pip install")) == 3  # the build tools, the packages, the project

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    second = machine.start("run", "a ct.nii.gz")
    assert (second.stdout, second.stderr) == ("<a ct.nii.gz>", "")
    assert machine.calls("") == []
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.1
    )  # 0.02 s of CPU; wall clock is noisy


def requirements(machine: Machine) -> set[str]:
    """What the set-up wanted pip to install."""
    return set((machine.root / ".setup/requirements.txt").read_text().split())


def test_torch_is_installed_only_where_it_is_needed_or_wanted(machine: Machine) -> None:
    system = machine.root / "packaging/system.sh"
    system.write_text(re.sub("^(nvidia_gpus|windows_gpu)=.*", r"\1=$HOME/\1", system.read_text(), flags=re.MULTILINE))
    assert machine.start("run").returncode == 0
    assert requirements(machine) == {"numpy>=2"}
    assert machine.start("run", "--with-torch", "ct.nii.gz").stdout == "<ct.nii.gz>"
    assert requirements(machine) == {"numpy>=2", "torch>=2"}
    machine.calls("")
    for command in (
        ["run"],
        ["run", "--with-torch"],
        ["run", "--setup", "--with-torch"],
        ["run", "--with-torch", "--setup"],
    ):
        assert machine.start(*command).returncode == 0
    assert machine.calls("pip install") == []  # it is there
    assert machine.start("check").returncode == 0
    assert requirements(machine) == {"numpy>=2", "torch>=2", "pytest>=8"}


@pytest.mark.parametrize("gpu", ["nvidia_gpus/0000:01:00.0", "windows_gpu"])
def test_torch_is_installed_where_there_is_a_gpu(machine: Machine, gpu: str) -> None:
    system = machine.root / "packaging/system.sh"
    system.write_text(re.sub("^(nvidia_gpus|windows_gpu)=.*", r"\1=$HOME/\1", system.read_text(), flags=re.MULTILINE))
    (machine.home / gpu).mkdir(parents=True)
    assert machine.start("run").returncode == 0
    assert requirements(machine) == {"numpy>=2", "torch>=2"}


@pytest.mark.parametrize("changed", ["packaging/constraints.txt", "core/kidneyseg/sparse/_kernels.cpp"])
def test_changed_pins_or_kernels_set_up_again(machine: Machine, changed: str) -> None:
    machine.start("run", "--setup")
    machine.calls("")
    with (machine.root / changed).open("a") as file:
        file.write("\n")
    machine.start("run", "--setup")
    pins = changed.endswith("constraints.txt")
    installed = machine.calls("python .*pip install")
    assert sorted(bool(re.search("--editable", call)) for call in installed) == [False, False] * pins + [True]


def test_packages_are_compiled_beside_the_first_start(machine: Machine) -> None:
    (machine.bin / "nice").symlink_to(shutil.which("nice") or "/usr/bin/nice")
    assert machine.start("run").returncode == 0
    end = time.monotonic() + 10
    while not machine.diary.exists() or "-m compileall" not in machine.diary.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert all("--no-compile" in call for call in machine.calls("python .*pip install"))


def test_a_moved_folder_is_set_up_anew(machine: Machine) -> None:
    machine.start("run", "--setup")
    machine.root = machine.root.rename(machine.home / "moved")
    machine.calls("")
    assert machine.start("run").returncode == 0
    assert len(machine.calls("-m venv")) == 1


def test_no_display_is_said_before_anything_is_set_up(machine: Machine) -> None:
    done = machine.start("run", DISPLAY="")
    assert done.returncode == 2
    assert "no display found" in done.stderr
    assert machine.calls("") == []
    assert machine.start("run", "--setup", DISPLAY="").returncode == 0


@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_python_of_another_version(machine: Machine, version: str) -> None:
    done = machine.start("run", FAKE_VERSION=version)
    assert done.returncode == 2
    assert f"python3 here is Python {version}; KidneySeg needs 3.11, 3.12 or 3.13" in done.stderr
    assert not (machine.root / ".venv").exists()


def test_another_python_beside_an_old_one(machine: Machine) -> None:
    machine.stand_in("python3.12", PYTHON.replace("${FAKE_VERSION-3.11}", "3.12"))
    assert machine.start("run", "--setup", FAKE_VERSION="3.10").returncode == 0


def test_missing_packages_for_a_user_are_one_line_to_paste(machine: Machine) -> None:
    machine.libraries(
        ["libGL.so.1", *(name for name in LIBRARIES if name not in ("libGL.so.1", "libxcb-cursor.so.0"))][:3]
    )
    done = machine.start("run", FAKE_NO_VENV="1")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "apt-get install" in line]
    assert line.split()[:4] == ["sudo", "apt-get", "install", "-y"]
    assert {"libxcb-cursor0", "libdbus-1-3", "python3-venv"} <= set(line.split())
    assert not {"libgl1", "libegl1", "g++"} & set(line.split())
    assert machine.calls("apt-get|-m venv") == []


def test_library_names_follow_the_release(machine: Machine) -> None:
    machine.libraries([name for name in LIBRARIES if name != "libglib-2.0.so.0"])
    assert "install -y libglib2.0-0t64" in machine.start("run").stderr


def test_root_installs_what_is_missing(machine: Machine) -> None:
    machine.user(0)
    machine.libraries(LIBRARIES[1:])
    (machine.bin / "g++").unlink()
    (machine.bin / "openbox").unlink()
    assert machine.start("check").returncode == 0
    assert machine.calls("apt-get") == [
        "apt-get update",
        "apt-get install -y --no-install-recommends libgl1 openbox g++",
    ]


def test_without_a_compiler_the_set_up_goes_on(machine: Machine) -> None:
    (machine.bin / "g++").unlink()
    done = machine.start("run")
    assert done.returncode == 0
    assert "sudo apt-get install -y g++" in done.stderr
    assert "torch>=2" in requirements(machine)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution", "no connection"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))", "PIP_CERT"),
        (
            "noise\nERROR: No matching distribution found for torch==2.13.0\nnoise",
            "No matching distribution found for torch",
        ),
    ],
)
def test_a_failing_pip_is_one_sentence_and_a_log(machine: Machine, output: str, sentence: str) -> None:
    done = machine.start("run", FAKE_PIP_OUTPUT=output)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert sentence in last
    assert last.endswith(f"Log: {machine.root}/.setup/setup.log")
    assert output in (machine.root / ".setup/setup.log").read_text()
    assert machine.start("run").returncode == 0


def test_a_full_disk_is_said_before_the_download(machine: Machine) -> None:
    machine.stand_in("df", "#!/bin/bash\nprintf 'Filesystem x x Available\\n/dev/x 9 9 2048 0%% /\\n'\n")
    done = machine.start("run")
    assert done.returncode == 2
    assert "has 2 MB free and the set-up needs 2048 MB; free some space" in done.stderr


def test_an_interrupted_set_up_begins_with_a_clean_environment(machine: Machine) -> None:
    with subprocess.Popen(
        [machine.root / "run", "--setup"],
        env=machine.environment(FAKE_PIP_SECONDS="120"),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _wait_until(lambda: machine.diary.exists() and "pip install" in machine.diary.read_text())
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 2, said
    assert "the next start takes it up again" in said
    (machine.root / ".venv/half-written").touch()
    assert machine.start("run").returncode == 0
    assert not (machine.root / ".venv/half-written").exists()


def test_two_starts_at_once_set_up_once(machine: Machine) -> None:
    environment = machine.environment(FAKE_PIP_SECONDS="0.5")
    both = [subprocess.Popen([machine.root / "run"], env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == [b"<>", b"<>"]
    assert len(machine.calls("python .*pip install")) == 3


def test_check_passes(machine: Machine) -> None:
    done = machine.start("check", "--fast", "-k", "nifti")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "3 passed in 0.10s"
    (call,) = machine.calls("-m pytest")
    assert call.startswith("python -m pytest -n auto ")
    assert call.endswith(" --ignore=tests/acceptance -k nifti")


def test_a_failed_check_lets_the_others_run(machine: Machine) -> None:
    done = machine.start("check", FAKE_FAILS="mypy")
    assert done.returncode == 1
    assert "mypy is unhappy" in done.stdout
    assert re.search(r"types +FAILED", done.stdout)
    assert done.stdout.splitlines()[-1] == "3 passed in 0.10s"


@pytest.mark.parametrize(
    ("closing", "last"),
    [
        ("\x1b[31m=== 1 failed, 2 passed in 65.00s (0:01:05) ===\x1b[0m", "1 failed, 2 passed in 65.00s (0:01:05)"),
        ("Killed, all failed", "0 passed, 1 failed (pytest gave no result)"),
    ],
)
def test_check_ends_with_pytests_closing_line(machine: Machine, closing: str, last: str) -> None:
    done = machine.start("check", FAKE_PYTEST=closing)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == last


def test_check_with_a_silent_pytest_says_that_all_passed(machine: Machine) -> None:
    done = machine.start("check", "-q", FAKE_PYTEST="")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("all tests passed")


def test_the_scripts_are_clean() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    scripts = ["run", "check", ".ci/run", "packaging/setup.sh", "packaging/system.sh", "packaging/update-constraints"]
    done = subprocess.run(["shellcheck", "-x", *scripts], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
