from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

import kidneyseg_gui
from kidneyseg_gui.theme import assets, icon

ROOT = Path(__file__).resolve().parents[2]
# Prints the folder of the assets; ends with an error where an icon or the style sheet is missing.
LOAD = """
from PySide6.QtWidgets import QApplication
from kidneyseg_gui import theme
application = QApplication([])
theme.apply_theme(application)
assert not theme.icon("open").pixmap(16, 16).isNull()
print(theme.assets())
"""


def test_an_installed_copy_has_icons_and_theme(tmp_path: Path):
    installed = tmp_path / "installed"
    build = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path), "build_py", "--build-lib"]
    subprocess.run([*build, str(installed)], cwd=ROOT, check=True, capture_output=True, timeout=60)
    paths = os.pathsep.join([str(installed), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    command = [sys.executable, "-c", LOAD]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert Path(done.stdout.strip()) == installed / "kidneyseg_gui" / "assets"
    assert (installed / "kidneyseg_gui/assets/kidneyseg.desktop").is_file()


def test_all_icons_of_the_code_and_the_style_sheet_exist(qtbot: QtBot):
    names = set(re.findall(r"@icons/([a-z-]+)\.svg", (assets() / "style.qss").read_text()))
    for file in Path(kidneyseg_gui.__file__).parent.rglob("*.py"):
        names |= set(re.findall(r"(?:icon|tool_button|picture)[(=]\"([a-z-]+)\"", file.read_text()))
    assert len(names) > 12
    for name in names:
        assert not icon(name).pixmap(16, 16).isNull(), name


def test_an_icon_that_does_not_exist_is_an_error():
    with pytest.raises(FileNotFoundError):
        icon("nothing")


def test_the_icons_of_the_style_may_lie_in_a_folder_with_spaces():
    sheet = (assets() / "style.qss").read_text(encoding="utf-8")
    assert sheet.count("url(") == sheet.count('url("@icons/') > 0
