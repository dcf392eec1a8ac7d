"""What shared libraries need: other libraries by name, and versions of the C library. Read by binutils' readelf."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

# A segment that is loaded: its offset in the file, its address, then its physical address, sizes, rights and alignment.
_LOAD = re.compile(r"^ *LOAD +0x(\w+) 0x(\w+) 0x\w+ 0x\w+ 0x\w+ [RWE ]{3} 0x(\w+)", re.MULTILINE)


def read(path: Path, *options: str) -> str:
    """What readelf says of a file; "" for what is no ELF file."""
    command = ["readelf", "--wide", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"})
    return done.stdout if done.returncode == 0 else ""


def loaded(path: Path) -> list[tuple[int, int, int]]:
    """The segments that are loaded: offset in the file, address, alignment."""
    headers = _LOAD.findall(read(path, "--program-headers"))
    return [(int(offset, 16), int(address, 16), int(align, 16)) for offset, address, align in headers]


def is_elf(path: Path) -> bool:
    """Whether this is a program or shared library (links are not followed)."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


@cache
def needed(path: Path) -> frozenset[str]:
    """The names of the libraries that a file asks the loader for; none for what is no ELF file."""
    return frozenset(re.findall(r"\(NEEDED\) +Shared library: \[(.+)\]", read(path, "--dynamic")))


def closure(roots: Iterable[Path], libraries: Mapping[str, Path]) -> set[str]:
    """The names among `libraries` that the roots need, directly or through others."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        for name in needed(waiting.pop()) & libraries.keys() - found:
            found.add(name)
            waiting.append(libraries[name])
    return found


def oldest(paths: Iterable[Path], prefix: str) -> tuple[int, ...]:
    """The newest version "<prefix>_x.y.z" (e.g. GLIBC, GLIBCXX) that any of the files asks for; () for none."""
    newest: tuple[int, ...] = ()
    for path in paths:
        _, _, wanted = read(path, "--version-info").partition("Version needs section")
        found = re.findall(rf"Name: {prefix}_([\d.]+) ", wanted)
        newest = max([newest, *(tuple(map(int, version.split("."))) for version in found)])
    return newest


def strip(path: Path) -> None:
    """Remove symbols that only a debugger reads.

    patchelf, by which wheels get their own copies of libraries, moves parts of a file in ways that strip can spoil.
    Such a file stays as it is.
    """
    stripped = path.with_name(f"{path.name}.stripped")
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, path], check=True)
    if all((offset - address) % align == 0 for offset, address, align in loaded(stripped)):
        stripped.chmod(path.stat().st_mode)
        stripped.replace(path)
    else:
        stripped.unlink()
