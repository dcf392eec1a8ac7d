"""What is taken out of ICU's data."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import icu
import pytest


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_data_are_found_in_the_library(tmp_path: Path) -> None:
    data = bytes(range(256)) * 500
    (tmp_path / "all.dat").write_bytes(data)
    (tmp_path / "data.s").write_text(icu._SOURCE.format(symbol="icudt73_dat", data=tmp_path / "all.dat"))
    library = tmp_path / "libicudata.so.73"
    subprocess.run(["gcc", "-shared", "-nostdlib", "-o", library, tmp_path / "data.s"], check=True)
    assert icu._data(library) == ("icudt73_dat", data)


@pytest.mark.parametrize(
    ("item", "kept"),
    [
        ("root.res", True),
        ("coll/root.res", True),
        ("ibm-37.cnv", False),
        ("curr/de.res", False),
        ("coll/de.res", False),
    ],
)
def test_what_is_kept(item: str, kept: bool) -> None:
    assert icu._kept(item) == kept
