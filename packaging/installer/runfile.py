"""The installer for users without administrator rights: a shell script with the program as its archive (makeself)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import elf
from components import HERE
from deb import POINTER, dependencies
from tree import set_modes_and_times


def build_run(root: Path, program: Path, share: Path, version: str, epoch: int) -> Path:
    """Put the program, its share folder and the set-up script into `root` and pack it beside that. Returns the file."""
    shutil.rmtree(root, ignore_errors=True)
    installed = root / "installed"
    shutil.copytree(program, installed, symlinks=True)
    shutil.copytree(share, installed / "share")
    files = [path for path in program.rglob("*") if elf.is_elf(path)]
    setup = setup_script(version, ".".join(map(str, elf.oldest(files, "GLIBC"))), _libraries(program, files))
    (installed / "setup").write_text(setup)
    (installed / "setup").chmod(0o755)
    target = root.parent / f"kidneyseg-{version}-x86_64.run"
    pack(root, target, setup, (f"KidneySeg {version}", "install"), epoch, level=6)
    return target


def pack(root: Path, target: Path, setup: str, start: tuple[str, str], epoch: int, *, level: int) -> None:
    """Pack the folder `root`/installed, with xz at this level, and the script `setup`.

    `start` has a title and the command of the script. makeself packs the script and the compressed folder. The script
    looks for what decompresses it and unpacks it where it will stay, so the folder for temporary files need not hold
    all of it, nor allow programs to run.
    """
    installed, archive = root / "installed", root / "archive"
    tar = ("--sort=name", f"--mtime=@{epoch}", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu")
    set_modes_and_times(installed, epoch)
    archive.mkdir()
    _compress(installed, archive / "program.tar.xz", tar, level)
    (archive / "setup").write_text(setup)
    set_modes_and_times(archive, epoch)
    # With names relative to `root`, since the file quotes this command. sh starts the script, which /tmp may not.
    command = [
        "makeself",
        "--nocomp",
        "--sha256",
        "--nomd5",
        "--nox11",
        "--noprogress",
        "--keep-umask",
        "--tar-quietly",
    ]
    title, verb = start
    options = ("--packaging-date", f"@{epoch}", "--tar-extra", " ".join(tar), archive.name, f"../{target.name}", title)
    subprocess.run(
        [*command, *options, "sh", "./setup", verb],
        check=True,
        cwd=root,
        env=os.environ | {"LC_ALL": "C"},
        stdout=subprocess.DEVNULL,
    )


def _compress(folder: Path, target: Path, options: tuple[str, ...], level: int) -> None:
    with (
        target.open("wb") as packed,
        subprocess.Popen(["tar", "-C", folder, *options, "-cf", "-", "."], stdout=subprocess.PIPE) as tar,
    ):
        # Two threads on every machine: one would cut the stream into other blocks.
        subprocess.run(["xz", f"-{level}", "--threads=2"], stdin=tar.stdout, stdout=packed, check=True)
    if tar.returncode:
        raise subprocess.CalledProcessError(tar.returncode, tar.args)


def setup_script(version: str, glibc: str, libraries: str) -> str:
    """share/setup.sh for a version, the C library that it needs, and lines "library package" of what else it does."""
    text = (HERE / "share/setup.sh").read_text()
    for name, value in (("version", version), ("glibc", glibc), ("libraries", libraries)):
        text = text.replace(f"@{name}@", value)
    return text


def _libraries(program: Path, files: list[Path]) -> str:
    """Lines "library package" of what the system must have."""
    system: dict[str, str] = tomllib.loads((HERE / "contents.toml").read_text())["system"]
    wanted = {name for path in files for name in elf.needed(path)} & system.keys() | {POINTER}
    dependencies(program)  # says which library is unknown
    return "\n".join(f"{name} {system[name].split(' ')[0]}" for name in sorted(wanted) if system[name] != "libc6")
