"""Takes data that the program never asks for out of Qt's copy of ICU: 30 MB of names, units and converters.

Qt's core needs the library. It uses it to compare texts and for time zones; the window is in English and reads no old
text encodings. ICU does without the rest: it falls back to its root locale.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import elf

_SOURCE = """\
.section .rodata
.balign 16
.globl {symbol}
.type {symbol}, @object
{symbol}:
.incbin "{data}"
.size {symbol}, . - {symbol}
.section .note.GNU-stack, "", @progbits
"""
_KEPT_COLLATIONS = ("coll/root.res", "coll/res_index.res", "coll/ucadata.icu", "coll/pool.res")


def slim(library: Path) -> None:
    """Rebuild `libicudata.so.N` with what is kept, under the same name and symbol."""
    symbol, data = _data(library)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # The data's name, which ICU looks up, ends in a letter for the order of bytes.
        package = work / f"{symbol.removesuffix('_dat')}l.dat"
        package.write_bytes(data)
        items = subprocess.run(["icupkg", "-l", package], check=True, capture_output=True, text=True).stdout.split()
        (work / "unwanted.txt").write_text("\n".join(item for item in items if not _kept(item)))
        subprocess.run(["icupkg", "-r", work / "unwanted.txt", package], check=True)
        (work / "data.s").write_text(_SOURCE.format(symbol=symbol, data=package.name))
        name = ".".join(library.name.split(".")[:3])  # the loader's name: libicudata.so.N
        options = ("-shared", "-nostdlib", f"-Wl,-soname,{name}", "-Wl,--build-id=none", "-o", "slim.so", "data.s")
        subprocess.run(["gcc", *options], check=True, cwd=work)
        library.write_bytes((work / "slim.so").read_bytes())


def _kept(item: str) -> bool:
    if "/" in item:
        return item in _KEPT_COLLATIONS
    return not item.endswith(".cnv")


def _data(library: Path) -> tuple[str, bytes]:
    """The name of ICU's data, and the data."""
    symbols = elf.read(library, "--dyn-syms")
    address, size, name = re.findall(r": (\w+) +(\w+) OBJECT .* (\w+_dat)$", symbols, re.MULTILINE)[0]
    where = int(address, 16)
    offset, start = max((offset, start) for offset, start, _ in elf.loaded(library) if start <= where)
    with library.open("rb") as stream:
        stream.seek(where - start + offset)
        return name, stream.read(int(size, 0))
