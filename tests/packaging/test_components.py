"""Where the files of the program come from, and their licences."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from components import BuildError, Component, debian_packages, licence_name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("numpy-2.dist-info/licenses/LICENSE.txt", "LICENSE.txt"),
        ("numpy-2.dist-info/licenses/numpy/ma/LICENSE", "numpy/ma/LICENSE"),
        ("attrs-1.dist-info/LICENSE", "LICENSE"),
        ("pillow-1.dist-info/METADATA", None),
        ("numpy/license.py", None),
    ],
)
def test_the_licences_of_a_distribution(file: str, name: str | None) -> None:
    assert licence_name(file) == name


def test_licences_of_one_name_are_all_copied(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    part = Component("pypi", "x", "1", "MIT", (("LICENSE", tmp_path / "a"), ("inner/LICENSE", tmp_path / "b")))
    part.copy_texts(tmp_path / "licences")
    assert (tmp_path / "licences/x/LICENSE").read_text() == "a"
    assert (tmp_path / "licences/x/inner/LICENSE").read_text() == "b"


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="dpkg is not installed")
def test_a_file_of_unknown_origin_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"nobody knows where .*stray\.so comes from"):
        debian_packages([tmp_path / "stray.so"])
