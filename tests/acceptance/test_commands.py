"""./run and ./check themselves, in a copy of the checkout where Python, pip and apt are stand-ins that keep a diary."""

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# fmt: off
BORROWED = [
    "awk", "basename", "bash", "cat", "chmod", "cp", "date", "df", "env", "flock", "grep", "head", "ln", "mkdir",
    "mktemp", "readlink", "rm", "sed", "sha256sum", "sleep", "sort", "tail", "tee", "touch", "wc",
]
LIBRARIES = [
    "libGL.so.1", "libEGL.so.1", "libglib-2.0.so.0", "libxkbcommon.so.0", "libfontconfig.so.1", "libdbus-1.so.3",
    "libxcb-cursor.so.0", "libxcb-icccm.so.4", "libxcb-image.so.0", "libxcb-keysyms.so.1", "libxcb-render-util.so.0",
    "libxcb-shape.so.0", "libxcb-xkb.so.1", "libxkbcommon-x11.so.0", "libxcb-randr.so.0", "libxcb-xinerama.so.0",
    "libX11-xcb.so.1",
]
# fmt: on

# Stands in for python3 and, copied by "-m venv", for .venv/bin/python.
PYTHON = r"""#!/bin/bash
echo "python $*" >>"$DIARY"
case "$*" in
"-c import sys"*) echo "${FAKE_VERSION-3.11}" ;;
"-c import venv"*) exit "${FAKE_NO_VENV-0}" ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"- "*) cat >/dev/null; echo "numpy>=2"; [[ $3 == run ]] || echo "pytest>=8" ;;
"-m pip install"*)
    [[ -z ${FAKE_PIP_OUTPUT-} ]] || { echo "$FAKE_PIP_OUTPUT"; exit 1; }
    sleep "${FAKE_PIP_SECONDS-0}"
    for tool in ruff mypy lint-imports; do
        printf '#!/bin/bash\n[[ $FAKE_FAILS != %s ]] || { echo %s is unhappy; exit 1; }\n' $tool $tool >"${0%/*}/$tool"
    done
    printf '#!/bin/bash\nprintf "<%%s>" "$@"\n' >"${0%/*}/kidneyseg-gui"
    chmod +x "${0%/*}"/* ;;
"-m pytest"*) printf '%s\n' "... [100%]" "${FAKE_PYTEST-3 passed in 0.10s}"; [[ ${FAKE_PYTEST-} != *failed* ]] ;;
esac
"""


@dataclass
class Machine:
    """A checkout (with a space in its path) and a PATH with nothing but stand-ins and a few plain tools."""

    home: Path
    root: Path = field(init=False)
    bin: Path = field(init=False)

    def __post_init__(self) -> None:
        self.root, self.bin = self.home / "kidney seg", self.home / "bin"
        (self.root / "core/kidneyseg/sparse").mkdir(parents=True)
        (self.root / "core/kidneyseg/sparse/_kernels.cpp").write_text("int kernel;\n")
        for name in ("run", "check", "packaging", "pyproject.toml"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, self.root / name)
        self.bin.mkdir()
        for tool in BORROWED:
            (self.bin / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
        self.stand_in("python3", PYTHON)
        self.stand_in("apt-get", '#!/bin/bash\necho "apt-get $*" >>"$DIARY"\n')
        self.stand_in("apt-cache", "#!/bin/bash\n[[ $2 == libglib2.0-0t64 ]]\n")
        self.user(1000)
        self.libraries(LIBRARIES)
        for program in ("g++", "Xvfb", "xauth", "xdotool", "openbox"):
            self.stand_in(program, "#!/bin/bash\n")

    def stand_in(self, name: str, script: str) -> None:
        """Put a program on the PATH."""
        (self.bin / name).unlink(missing_ok=True)  # a link to the machine's own program must not be written through
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def user(self, number: int) -> None:
        """0 is root."""
        self.stand_in("id", f"#!/bin/bash\necho {number}\n")

    def libraries(self, names: list[str]) -> None:
        """What the dynamic linker knows."""
        lines = "".join(f"\\t{name} (libc6,x86-64) => /lib/{name}\\n" for name in names)
        self.stand_in("ldconfig", f"#!/bin/bash\nprintf '{lines}'\n")

    def environment(self, **more: str) -> dict[str, str]:
        """With a display, and nothing of the real session."""
        return {"PATH": str(self.bin), "HOME": str(self.home), "DIARY": str(self.diary), "DISPLAY": ":7", **more}

    @property
    def diary(self) -> Path:
        """Every call of Python and apt."""
        return self.home / "diary"

    def calls(self, pattern: str) -> list[str]:
        """The diary's lines that match, which are forgotten then."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        self.diary.unlink(missing_ok=True)
        return [line for line in lines if re.search(pattern, line)]

    def start(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `run` or `check` from another folder, as a user may."""
        return subprocess.run(
            [self.root / command[0], *command[1:]],
            env=self.environment(**environment),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


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
    assert len(machine.calls("pip install")) == 2

    began = time.monotonic()
    second = machine.start("run", "a ct.nii.gz")
    assert (second.stdout, second.stderr) == ("<a ct.nii.gz>", "")
    assert machine.calls("") == []
    assert time.monotonic() - began < 0.5  # about 0.02 s on an idle machine


@pytest.mark.parametrize("changed", ["packaging/constraints.txt", "core/kidneyseg/sparse/_kernels.cpp"])
def test_changed_pins_or_kernels_set_up_again(machine: Machine, changed: str) -> None:
    machine.start("run", "--setup")
    machine.calls("")
    with (machine.root / changed).open("a") as file:
        file.write("\n")
    machine.start("run", "--setup")
    pins = changed.endswith("constraints.txt")
    assert [bool(re.search("--editable", call)) for call in machine.calls("pip install")] == (
        [False] if pins else []
    ) + [True]


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
    assert "has 2 MB free and the set-up needs 4096 MB" in done.stderr


def test_an_interrupted_set_up_begins_with_a_clean_environment(machine: Machine) -> None:
    process = subprocess.Popen(
        [machine.root / "run", "--setup"],
        env=machine.environment(FAKE_PIP_SECONDS="30"),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _wait_until(lambda: machine.diary.exists() and "pip install" in machine.diary.read_text())
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 2, said
    assert "the next start takes it up again" in said
    (machine.root / ".venv/half-written").touch()
    assert machine.start("run").returncode == 0
    assert not (machine.root / ".venv/half-written").exists()


def test_two_starts_at_once_set_up_once(machine: Machine) -> None:
    environment = machine.environment(FAKE_PIP_SECONDS="0.5")
    both = [subprocess.Popen([machine.root / "run"], env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == [b"<>", b"<>"]
    assert len(machine.calls("pip install")) == 2


def test_check_passes(machine: Machine) -> None:
    done = machine.start("check", "--fast", "-k", "nifti")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "3 passed in 0.10s"
    assert machine.calls("pytest --ig") == ["python -m pytest --ignore=tests/acceptance -k nifti"]


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


def test_the_scripts_are_clean() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    scripts = ["run", "check", ".ci/run", "packaging/setup.sh", "packaging/system.sh", "packaging/update-constraints"]
    done = subprocess.run(["shellcheck", "-x", *scripts], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""


def _wait_until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
