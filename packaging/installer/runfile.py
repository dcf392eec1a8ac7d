"""The installer for users without administrator rights: a shell script with the program as its archive (makeself)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import elf
from components import HERE
from deb import dependencies
from tree import set_modes_and_times


def build_run(root: Path, program: Path, share: Path, version: str, epoch: int) -> Path:
    """Put the program, its share folder and the set-up script into `root` and pack it beside that. Returns the file."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(program, root, symlinks=True)
    shutil.copytree(share, root / "share")
    setup = (HERE / "share/setup.sh").read_text().replace("@version@", version)
    setup = setup.replace("@glibc@", ".".join(map(str, _glibc(program)))).replace("@libraries@", _libraries(program))
    (root / "setup").write_text(setup)
    (root / "setup").chmod(0o755)
    set_modes_and_times(root, epoch)
    target = root.parent / f"kidneyseg-{version}-x86_64.run"
    subprocess.run(
        [
            *(
                "makeself",
                "--gzip",
                "--complevel",
                "6",
                "--sha256",
                "--nox11",
                "--nomd5",
                "--tar-quietly",
                "--license",
                HERE / "share/notice",
            ),
            *("--tar-extra", f"--sort=name --mtime=@{epoch} --owner=0 --group=0 --numeric-owner --format=gnu"),
            *("--packaging-date", f"@{epoch}", root, target, f"KidneySeg {version}", "./setup", "install"),
        ],
        check=True,
        env=os.environ | {"LC_ALL": "C"},
        stdout=subprocess.DEVNULL,
    )
    return target


def _glibc(program: Path) -> tuple[int, ...]:
    return elf.oldest([path for path in program.rglob("*") if elf.is_elf(path)], "GLIBC")


def _libraries(program: Path) -> str:
    """Lines "library package" of what the system must have."""
    system: dict[str, str] = tomllib.loads((HERE / "contents.toml").read_text())["system"]
    files = [path for path in program.rglob("*") if elf.is_elf(path)]
    wanted = {name for path in files for name in elf.needed(path)} & system.keys()
    dependencies(program)  # says which library is unknown
    return "\n".join(f"{name} {system[name].split(' ')[0]}" for name in sorted(wanted) if system[name] != "libc6")
