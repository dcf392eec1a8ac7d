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
    """Put the program, its share folder and the set-up script into `root` and pack it beside that. Returns the file.

    makeself packs the set-up script and the compressed program. The script looks for what decompresses it and unpacks
    it where it will stay, so the folder for temporary files need not hold all of it, nor allow programs to run.
    """
    shutil.rmtree(root, ignore_errors=True)
    installed, archive = root / "installed", root / "archive"
    shutil.copytree(program, installed, symlinks=True)
    shutil.copytree(share, installed / "share")
    archive.mkdir()
    setup = _setup_script(program, version)
    for folder in (installed, archive):
        (folder / "setup").write_text(setup)
        (folder / "setup").chmod(0o755)
    tar = ("--sort=name", f"--mtime=@{epoch}", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu")
    set_modes_and_times(installed, epoch)
    _compress(installed, archive / "program.tar.xz", tar)
    set_modes_and_times(archive, epoch)
    target = root.parent / f"kidneyseg-{version}-x86_64.run"
    # With names relative to `root`, since the file quotes this command. sh starts the script, which /tmp may not.
    command = f"makeself --nocomp --sha256 --nomd5 --nox11 --keep-umask --tar-quietly --packaging-date @{epoch}".split()
    options = ("--tar-extra", " ".join(tar), archive.name, f"../{target.name}", f"KidneySeg {version}")
    subprocess.run(
        [*command, *options, "sh", "./setup", "install"],
        check=True,
        cwd=root,
        env=os.environ | {"LC_ALL": "C"},
        stdout=subprocess.DEVNULL,
    )
    return target


def _compress(folder: Path, target: Path, options: tuple[str, ...]) -> None:
    with (
        target.open("wb") as packed,
        subprocess.Popen(["tar", "-C", folder, *options, "-cf", "-", "."], stdout=subprocess.PIPE) as tar,
    ):
        # Two threads on every machine: one would cut the stream into other blocks.
        subprocess.run(["xz", "-6", "--threads=2"], stdin=tar.stdout, stdout=packed, check=True)
    if tar.returncode:
        raise subprocess.CalledProcessError(tar.returncode, tar.args)


def _setup_script(program: Path, version: str) -> str:
    text = (HERE / "share/setup.sh").read_text()
    files = [path for path in program.rglob("*") if elf.is_elf(path)]
    glibc = ".".join(map(str, elf.oldest(files, "GLIBC")))
    for name, value in (("version", version), ("glibc", glibc), ("libraries", _libraries(program, files))):
        text = text.replace(f"@{name}@", value)
    return text


def _libraries(program: Path, files: list[Path]) -> str:
    """Lines "library package" of what the system must have."""
    system: dict[str, str] = tomllib.loads((HERE / "contents.toml").read_text())["system"]
    wanted = {name for path in files for name in elf.needed(path)} & system.keys() | {POINTER}
    dependencies(program)  # says which library is unknown
    return "\n".join(f"{name} {system[name].split(' ')[0]}" for name in sorted(wanted) if system[name] != "libc6")
