"""`import kidneyseg`: what it offers, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kidneyseg

_MEASURE_IMPORT = """
import sys, time
started = time.process_time()
import kidneyseg
print(time.process_time() - started)
dir(kidneyseg), kidneyseg.__version__
print([name for name in ("torch", "numpy", "nibabel", "scipy") if name in sys.modules])
"""


def test_import_is_quick_and_imports_no_library() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", _MEASURE_IMPORT], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    ]
    seconds, imported = zip(*(run.split("\n")[:2] for run in runs), strict=True)
    assert min(map(float, seconds)) < 0.05
    assert set(imported) == {"[]"}


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    for name in set(kidneyseg.__all__) - {"__version__"}:
        assert getattr(kidneyseg, name).__doc__
        assert name in dir(kidneyseg)


def test_no_other_name_is_offered() -> None:
    code = "import kidneyseg; print(*(name for name in dir(kidneyseg) if name[:2] != '__'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    used_here = {"TYPE_CHECKING", "names_of", "lazy", "version"}
    assert set(done.stdout.split()) - used_here == set(kidneyseg.__all__) - {"__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'segmentt'"):
        kidneyseg.segmentt  # noqa: B018 - the access is the test


def test_installed_copies_are_typed() -> None:
    assert (Path(kidneyseg.__file__).parent / "py.typed").is_file()


def test_the_version_is_the_latest_of_the_changelog() -> None:
    lines = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    latest = next(line for line in lines if line.startswith("## ") and "[Unreleased]" not in line)
    assert latest.split()[1] == f"[{kidneyseg.__version__}]"
