"""Leaves out of PyInstaller's findings what contents.toml does not keep, and libraries that nothing needs any more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from elf import closure, is_elf

# Where it goes, where it comes from, and PyInstaller's kind: BINARY, EXTENSION, DATA or SYMLINK.
Entry = tuple[str, str, str]


def trimmed_binaries(entries: Iterable[Entry], contents: dict[str, Any]) -> list[Entry]:
    """The entries that are kept: extension modules, wanted plugins, and the libraries that those need."""
    entries = [entry for entry in entries if _wanted(entry[0], contents)]
    files = [entry for entry in entries if entry[2] != "SYMLINK"]
    roots = [Path(source) for target, source, kind in files if kind == "EXTENSION" or _loaded_by_name(target)]
    libraries = {PurePosixPath(target).name: Path(source) for target, source, _ in files}
    kept = closure(roots, libraries)
    files = [e for e in files if e[2] == "EXTENSION" or _loaded_by_name(e[0]) or PurePosixPath(e[0]).name in kept]
    targets = {target for target, _, _ in files}
    return files + [e for e in entries if e[2] == "SYMLINK" and _pointed_at(e) in targets]


def trimmed_data(entries: Iterable[Entry], contents: dict[str, Any]) -> list[Entry]:
    """The entries without folders of no use, tests, and links to what is not there.

    Of the notes on a distribution, its version is asked for; its licences lie beside the program.
    """
    left_out = tuple(f"{prefix}" for prefix in contents["python"]["exclude_data"])
    return [
        entry
        for entry in entries
        if not entry[0].startswith(left_out)
        and "/tests/" not in entry[0]
        and (".dist-info/" not in entry[0] or entry[0].endswith(".dist-info/METADATA"))
        and not entry[0].endswith((".pyi", ".pyx", ".pxd", ".h", ".hpp", ".cpp", ".tp", ".in"))
        and entry[2] != "SYMLINK"
    ]


def share_copies(folder: Path) -> None:
    """Keep libraries that are the same byte for byte, which several wheels bring, once; the others become links."""
    first: dict[tuple[str, bytes], Path] = {}
    for path in sorted(folder.rglob("*.so*")):
        if is_elf(path):
            kept = first.setdefault((path.name, hashlib.sha256(path.read_bytes()).digest()), path)
            if kept != path:
                path.unlink()
                path.symlink_to(os.path.relpath(kept, path.parent))


def _wanted(target: str, contents: dict[str, Any]) -> bool:
    path = PurePosixPath(target)
    if path.name in contents["system"]:
        return False
    if path.parent.name == "vtkmodules" and ".cpython-" in path.name:
        return path.name.split(".")[0] in contents["vtk"]["keep"]
    if "Qt/plugins" in target:
        return f"{path.parent.name}/{path.stem.removeprefix('lib')}" in contents["qt"]["plugins"]
    return True


def _loaded_by_name(target: str) -> bool:
    """Plugins and the kernels are opened by their paths; the interpreter by the executable."""
    name = PurePosixPath(target).name
    return "Qt/plugins" in target or name.startswith(("_kernels", "libpython"))


def _pointed_at(entry: Entry) -> str:
    """The target of a link, from the program's root."""
    target, source, _ = entry
    parts: list[str] = []
    for part in (PurePosixPath(target).parent / source).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
