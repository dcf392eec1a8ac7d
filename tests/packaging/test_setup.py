"""The set-up script inside the .run, on a folder that only looks like the program."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "packaging/installer/share/setup.sh"


class Computer:
    """A user's home with a space and umlauts, and the unpacked archive."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "Jörg Müllers $HOME"
        self.home.mkdir()
        self.data = self.home / ".local/share"
        self.entry = self.data / "applications/kidneyseg.desktop"
        self.path = "/usr/bin:/bin"

    def archive(self, folder: Path, version: str = "1.2.0", libraries: str = "") -> Path:
        """What makeself unpacks: the script, and the program with the same script."""
        program = folder / "program"
        for name in ("_internal/kidneyseg", "share/applications", "share/man/man1"):
            (program / name).mkdir(parents=True)
        for name in ("kidneyseg", "kidneyseg-gui"):
            (program / name).write_text(f"#!/bin/sh\necho {name} {version}\n")
            (program / name).chmod(0o755)
        shutil.copy(ROOT / "assets/kidneyseg.desktop", program / "share/applications")
        (program / "share/man/man1/kidneyseg.1.gz").touch()
        text = SCRIPT.read_text()
        for name, value in (("version", version), ("glibc", "2.31"), ("libraries", libraries)):
            text = text.replace(f"@{name}@", value)
        for place in (folder, program):
            (place / "setup").write_text(text)
        subprocess.run(["tar", "-C", program, "-cJf", folder / "program.tar.xz", "."], check=True)
        shutil.rmtree(program)
        return folder / "setup"

    def start(self, setup: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": self.path, "HOME": str(self.home)} | variables
        return subprocess.run(
            ["sh", setup, *words], env=environment, cwd=self.home, capture_output=True, text=True, check=False
        )

    def installed(self, version: str = "1.2.0") -> Path:
        return self.home / f".local/opt/kidneyseg-{version}"


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def test_it_installs_into_the_home_folder(computer: Computer, tmp_path: Path) -> None:
    done = computer.start(computer.archive(tmp_path / "archive"), "install")
    assert done.returncode == 0, done.stderr
    command = computer.home / ".local/bin/kidneyseg"
    assert subprocess.check_output([command], text=True) == "kidneyseg 1.2.0\n"
    # In the desktop's rules, $ is escaped inside quotes, and the backslash once more for the file.
    where = str(computer.installed() / "kidneyseg-gui").replace("$", r"\\$")
    assert f'Exec="{where}" %f' in computer.entry.read_text().splitlines()
    assert (computer.data / "man/man1/kidneyseg.1.gz").is_file()


def test_it_can_be_moved(computer: Computer, tmp_path: Path) -> None:
    computer.start(computer.archive(tmp_path / "archive"), "install")
    moved = computer.installed().rename(computer.home / "elsewhere")
    assert computer.start(moved / "setup", "integrate").returncode == 0
    assert (computer.home / ".local/bin/kidneyseg-gui").resolve() == (moved / "kidneyseg-gui").resolve()
    assert "/elsewhere/kidneyseg-gui" in computer.entry.read_text()


def test_it_is_removed_without_leftovers(computer: Computer, tmp_path: Path) -> None:
    (computer.home / "mask.nii.gz").touch()
    computer.start(computer.archive(tmp_path / "archive"), "install")
    done = computer.start(computer.installed() / "setup", "uninstall")
    assert done.returncode == 0, done.stderr
    # The desktop's tools may leave their caches.
    left = [path.name for path in computer.home.rglob("*") if not path.is_dir() and "cache" not in path.name]
    assert left == ["mask.nii.gz"]
    assert not (computer.data / "man").exists()


def test_two_versions_do_not_mix(computer: Computer, tmp_path: Path) -> None:
    for version in ("1.2.0", "1.3.0"):
        assert computer.start(computer.archive(tmp_path / version, version), "install").returncode == 0
    command = computer.home / ".local/bin/kidneyseg"
    assert subprocess.check_output([command], text=True) == "kidneyseg 1.3.0\n"
    assert computer.start(computer.installed("1.2.0") / "setup", "uninstall").returncode == 0
    assert subprocess.check_output([command], text=True) == "kidneyseg 1.3.0\n"
    assert "kidneyseg-1.3.0" in computer.entry.read_text()


def test_the_same_version_is_replaced(computer: Computer, tmp_path: Path) -> None:
    setup = computer.archive(tmp_path / "archive")
    computer.start(setup, "install")
    (computer.installed() / "_internal/old").touch()
    assert computer.start(setup, "install").returncode == 0
    assert not (computer.installed() / "_internal/old").exists()


def test_a_prefix_and_no_menu(computer: Computer, tmp_path: Path) -> None:
    setup = computer.archive(tmp_path / "archive")
    done = computer.start(setup, "install", "--prefix", "own folder", "--no-menu", USER_PWD=str(computer.home))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in computer.home.iterdir()] == ["own folder"]


def test_it_asks_nothing_and_says_where_the_licences_are(computer: Computer, tmp_path: Path) -> None:
    done = computer.start(computer.archive(tmp_path / "archive"), "install")
    assert f"licences of everything inside are in {computer.installed()}/licences." in done.stdout
    assert "Research use only" in done.stdout


@pytest.mark.parametrize("prefix", ["own", "own/"])
def test_an_empty_folder_may_be_the_prefix(computer: Computer, tmp_path: Path, prefix: str) -> None:
    setup = computer.archive(tmp_path / "archive")
    (computer.home / "own").mkdir()
    for _ in range(2):
        done = computer.start(setup, "install", "--prefix", prefix, "--no-menu", USER_PWD=str(computer.home))
        assert done.returncode == 0, done.stderr
    assert [path.name for path in computer.home.iterdir()] == ["own"]
    assert sorted(path.name for path in (computer.home / "own").iterdir()) == [
        "_internal",
        "kidneyseg",
        "kidneyseg-gui",
        "setup",
        "share",
    ]


def test_a_folder_of_programs_is_not_replaced(computer: Computer, tmp_path: Path) -> None:
    """The commands of an installed version lie there, which does not make it a folder of KidneySeg."""
    setup = computer.archive(tmp_path / "archive")
    computer.start(setup, "install")
    other = computer.home / ".local/bin/other"
    other.touch()
    done = computer.start(setup, "install", "--prefix", str(other.parent))
    assert (done.returncode, other.is_file()) == (1, True)
    assert "holds no KidneySeg" in done.stderr


def test_an_installed_folder_installs_nothing(computer: Computer, tmp_path: Path) -> None:
    computer.start(computer.archive(tmp_path / "archive"), "install")
    done = computer.start(computer.installed() / "setup", "install", "--prefix", str(computer.home / "own"))
    assert (done.returncode, done.stderr) == (1, "kidneyseg: the program is not beside this script; start the .run.\n")


@pytest.mark.parametrize(
    ("words", "variables", "says"),
    [
        ((), {"HOME": ""}, "there is no home folder"),
        (("--prefix", "/proc/kidneyseg"), {}, "cannot be written"),
        (("--prefix", "/usr"), {}, "holds no KidneySeg"),
        (("--prefix",), {}, "--prefix needs a folder"),
    ],
)
def test_one_sentence_where_it_cannot_install(
    computer: Computer, tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], says: str
) -> None:
    done = computer.start(computer.archive(tmp_path / "archive"), "install", *words, **variables)
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def stand_in(computer: Computer, folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    computer.path = f"{folder}:{os.defpath}"


def only(computer: Computer, folder: Path, *absent: str) -> None:
    """Give the computer all programs of this one but these."""
    folder.mkdir()
    for place in map(Path, computer.path.split(":")):
        for program in place.iterdir():
            if program.name not in absent and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    computer.path = str(folder)


def test_without_xz_python_unpacks(computer: Computer, tmp_path: Path) -> None:
    only(computer, tmp_path / "bin", "xz")
    done = computer.start(computer.archive(tmp_path / "archive"), "install")
    assert done.returncode == 0, done.stderr
    assert (computer.installed() / "kidneyseg").is_file()


def test_nothing_that_unpacks(computer: Computer, tmp_path: Path) -> None:
    only(computer, tmp_path / "bin", "xz", "python3")
    done = computer.start(computer.archive(tmp_path / "archive"), "install")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "needs xz or python3" in done.stderr
    assert list(computer.home.iterdir()) == []


def test_a_torn_archive_leaves_nothing(computer: Computer, tmp_path: Path) -> None:
    setup = computer.archive(tmp_path / "archive")
    packed = setup.with_name("program.tar.xz")
    packed.write_bytes(packed.read_bytes()[:100])
    done = computer.start(setup, "install")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert not list((computer.home / ".local/opt").iterdir())


def test_an_old_c_library(computer: Computer, tmp_path: Path) -> None:
    stand_in(computer, tmp_path / "bin", "getconf", "echo glibc 2.28")
    done = computer.start(computer.archive(tmp_path / "archive"), "install")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "needs glibc 2.31 or newer (Debian 12, Ubuntu 22.04); this system has glibc 2.28" in done.stderr
    assert list(computer.home.iterdir()) == []


def test_missing_libraries_are_named_once_and_do_not_hinder(computer: Computer, tmp_path: Path) -> None:
    stand_in(computer, tmp_path / "bin", "ldconfig", "printf '\\tlibc.so.6 (libc6,x86-64) => /lib/libc.so.6\\n'")
    libraries = "libc.so.6 libc6\nlibGL.so.1 libgl1\nlibGLX.so.0 libgl1\nlibX11.so.6 libx11-6"
    done = computer.start(computer.archive(tmp_path / "archive", libraries=libraries), "install")
    assert done.returncode == 0
    assert "sudo apt-get install libgl1 libx11-6\n" in done.stderr


def test_torch_is_added_to_the_same_version_only(computer: Computer, tmp_path: Path) -> None:
    def gpu(version: str) -> Path:
        setup = computer.archive(tmp_path / f"gpu-{version}", version)
        (tmp_path / "packages/torch").mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-C", tmp_path, "-cJf", setup.with_name("program.tar.xz"), "packages"], check=True)
        return setup

    missing = computer.start(gpu("1.2.0"), "install-gpu")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "there is no KidneySeg in" in missing.stderr
    computer.start(computer.archive(tmp_path / "archive"), "install")
    other = computer.start(gpu("1.3.0"), "install-gpu", "--prefix", str(computer.installed()))
    assert other.stderr.endswith(
        "this is for kidneyseg 1.3.0, and in " + f"{computer.installed()} is kidneyseg 1.2.0.\n"
    )
    done = computer.start(tmp_path / "gpu-1.2.0/setup", "install-gpu")
    assert done.returncode == 0, done.stderr
    assert (computer.installed() / "cuda/packages/torch").is_dir()
    assert (computer.installed() / "kidneyseg").is_file()
    assert computer.start(computer.installed() / "setup", "uninstall").returncode == 0
    assert not computer.installed().exists()
