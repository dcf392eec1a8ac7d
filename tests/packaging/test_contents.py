"""The lists of what is packed agree with pyproject.toml, the pins, and what the program imports."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from requirements import LEFT_OUT, TOOLS, requirements

ROOT = Path(__file__).parents[2]
INSTALLER = ROOT / "packaging/installer"
CONTENTS = tomllib.loads((INSTALLER / "contents.toml").read_text(encoding="utf-8"))
LICENCES = tomllib.loads((INSTALLER / "licences.toml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def plain(name: str) -> str:
    return re.split(r"[\[<>=!~ ]", name)[0].lower().replace("_", "-").replace(".", "-")


def pinned(file: str) -> dict[str, str]:
    lines = (ROOT / "packaging" / file).read_text(encoding="utf-8").splitlines()
    return {plain(line): line.split("==")[1] for line in lines}


def test_everything_that_the_build_installs_is_pinned() -> None:
    pins = pinned("constraints.txt") | pinned("installer/constraints.txt")
    assert {name for name in map(plain, requirements(ROOT / "pyproject.toml")) if name not in pins} == set()


def test_the_two_lists_of_pins_do_not_disagree() -> None:
    program, tools = pinned("constraints.txt"), pinned("installer/constraints.txt")
    assert {name for name in program.keys() & tools.keys() if program[name] != tools[name]} == set()


def test_only_what_is_named_is_left_out() -> None:
    dependencies = [plain(line) for line in PROJECT["project"]["dependencies"]]
    installed = [plain(line) for line in requirements(ROOT / "pyproject.toml")]
    assert set(dependencies) - set(installed) <= set(LEFT_OUT)
    assert set(map(plain, TOOLS)) <= set(installed)


def test_what_is_asked_for_its_version_is_installed() -> None:
    installed = {plain(line) for line in requirements(ROOT / "pyproject.toml")}
    installed.add("vtk")  # PyVista's
    assert {name for name in CONTENTS["python"]["metadata"] if plain(name) not in installed} == set()


def imported(folder: Path) -> set[str]:
    """The modules that the modules of this folder import at any time."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_the_window_imports_nothing_that_is_excluded() -> None:
    excluded = set(CONTENTS["python"]["exclude"])
    assert imported(ROOT / "kidneyseg_gui") & excluded == set()
    engine = imported(ROOT / "core/kidneyseg") & excluded
    assert engine <= {"torch", "sparseconvnet"}, "the installed program segments without these"


# What the window and the command import, where the excluded modules cannot be.
_IMPORT = """
import sys

excluded = set(sys.argv[1:])

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in excluded:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Blocker())
import kidneyseg_gui.application, kidneyseg_gui.surfaces, kidneyseg.phantom.sample, kidneyseg.cli.segment
import kidneyseg_gui.views.offscreen_canvas, kidneyseg_gui.views.interactor_canvas, kidneyseg_gui.views.pyvista_cloud
import pyvista.plotting
import kidneyseg.cli.serve_dicom, kidneyseg.service.receiver, kidneyseg.service.sender, pynetdicom, ssl
from kidneyseg_gui.services import Services
Services().warm_up()
import numpy as np, pyvista
pyvista.Box().outline().append_polydata(pyvista.Line())  # PyVista imports a filter's module when it is used
grid = pyvista.ImageData(dimensions=(4, 4, 4))
grid.point_data["field"] = np.arange(64.0)
grid.contour([30.0], scalars="field", method="flying_edges")
pyvista.Plotter(off_screen=True).close()
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules that the window has loaded once the 3-D view is there."""
    command = [sys.executable, "-c", _IMPORT, *CONTENTS["python"]["exclude"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"QT_API": "pyside6"})
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_vtk_modules_are_those_of_the_3d_view(loaded: set[str]) -> None:
    compiled = {name.split(".")[1] for name in loaded if re.fullmatch(r"vtkmodules\.vtk[A-Z]\w+", name)}
    assert len(compiled) > 20
    assert compiled == set(CONTENTS["vtk"]["keep"])


def test_nothing_is_under_the_gpl_alone() -> None:
    for table in LICENCES.values():
        for name, licence in table.items():
            free = re.sub(r"LGPL-\S+|GPL-2\.0-or-later WITH Bootloader-exception", "", licence)
            assert "GPL" not in free, name


def test_every_system_library_names_a_package() -> None:
    assert len(CONTENTS["system"]) > 20
    for library, package in CONTENTS["system"].items():
        assert re.fullmatch(r"[\w.+-]+\.so\.\d+", library), library
        assert re.fullmatch(r"[a-z0-9.+-]+( \| [a-z0-9.+-]+)*", package), package
