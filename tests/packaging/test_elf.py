"""What libraries need, as the build reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import elf
import pytest

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "libodd.so"
    source = "#include <math.h>\ndouble odd(double x) { return pow(x, x); }\n"
    (tmp_path / "odd.c").write_text(source)
    subprocess.run(["gcc", "-g", "-shared", "-fPIC", tmp_path / "odd.c", "-o", path, "-lm"], check=True)
    return path


@needs_compiler
def test_what_a_library_needs(library: Path) -> None:
    assert elf.is_elf(library)
    assert elf.needed(library) >= {"libm.so.6"}
    assert elf.oldest([library], "GLIBC") >= (2, 2, 5)
    assert elf.oldest([library], "GLIBCXX") == ()


@needs_compiler
def test_only_what_others_must_have_counts(tmp_path: Path) -> None:
    """A library that defines versions of its own needs none of them."""
    (tmp_path / "own.c").write_text("int own(void) { return 1; }\n")
    (tmp_path / "own.map").write_text("GLIBC_9.9 { global: own; };\n")
    command = ["gcc", "-shared", "-fPIC", tmp_path / "own.c", "-Wl,--version-script", tmp_path / "own.map"]
    subprocess.run([*command, "-o", tmp_path / "libown.so"], check=True)
    assert elf.oldest([tmp_path / "libown.so"], "GLIBC") < (9, 9)


@needs_compiler
def test_stripping_makes_it_smaller_and_keeps_it(library: Path) -> None:
    before = library.stat()
    elf.strip(library)
    assert library.stat().st_size < before.st_size
    assert library.stat().st_mode == before.st_mode
    assert "libm.so.6" in elf.needed(library)


def test_what_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no library at all")
    assert not elf.is_elf(tmp_path / "text")
    assert elf.needed(tmp_path / "text") == frozenset()
    assert elf.loaded(tmp_path / "text") == []
