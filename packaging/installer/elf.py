# ruff: noqa: PLC0415 - only the build environment has elftools, and tests import this module without it
"""What shared libraries need: other libraries by name, and versions of the C library."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path


def is_elf(path: Path) -> bool:
    """Whether this is a program or shared library (links are not followed)."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


@cache
def needed(path: Path) -> frozenset[str]:
    """The names of the libraries that a file asks the loader for; none for what is no ELF file."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as stream:
            sections = ELFFile(stream).iter_sections()
            dynamic = [section for section in sections if isinstance(section, DynamicSection)]
            return frozenset(tag.needed for section in dynamic for tag in section.iter_tags("DT_NEEDED"))
    except ELFError:
        return frozenset()


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
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerNeedSection

    newest: tuple[int, ...] = ()
    for path in paths:
        with path.open("rb") as stream:
            for section in ELFFile(stream).iter_sections():
                if isinstance(section, GNUVerNeedSection):
                    names = (aux.name for _, auxiliaries in section.iter_versions() for aux in auxiliaries)
                    found = [re.fullmatch(rf"{prefix}_([\d.]+)", name) for name in names]
                    newest = max([newest, *(tuple(map(int, m[1].split("."))) for m in found if m)])
    return newest


def strip(path: Path) -> None:
    """Remove symbols that only a debugger reads.

    patchelf, by which wheels get their own copies of libraries, moves parts of a file in ways that strip can spoil.
    Such a file stays as it is.
    """
    stripped = path.with_name(f"{path.name}.stripped")
    subprocess.run(["strip", "--strip-unneeded", "-o", stripped, path], check=True)
    if _can_be_mapped(stripped):
        stripped.chmod(path.stat().st_mode)
        stripped.replace(path)
    else:
        stripped.unlink()


def _can_be_mapped(path: Path) -> bool:
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as stream:
        loads = [segment.header for segment in ELFFile(stream).iter_segments("PT_LOAD")]
    return all((one.p_offset - one.p_vaddr) % one.p_align == 0 for one in loads)
