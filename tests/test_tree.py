"""The shape of the repository: tests mirror modules, files are short, public names are documented and unique."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("core/kidneyseg", "kidneyseg_gui", "benchmarks")
# The folder of tests that mirrors a package.
MIRRORS = {"core/kidneyseg": "tests/core", "kidneyseg_gui": "tests/kidneyseg_gui"}
# A module with no more code than this is tested through the modules that use it.
SMALL = 25
MOST_LINES = 300

# Test files that belong to no single module.
CROSS_CUTTING = {
    "tests/kidneyseg_gui/test_pyside.py": "a fault of one PySide6 release, which pyproject.toml excludes",
}

# Larger modules without a test file of their own, and why.
UNTESTED: dict[str, str] = {
    "kidneyseg_gui/outcomes.py": "values without behaviour, which test_worker.py looks at",
    "kidneyseg_gui/views/offscreen_canvas.py": "needs a display and VTK: run by tests/acceptance/test_window.py",
    "kidneyseg_gui/views/pyvista_cloud.py": "needs a display and VTK: run by tests/acceptance/test_window.py",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def modules(package: str) -> list[Path]:
    """The public modules of a package; `__init__` stands for the folder."""
    files = sorted((ROOT / package).rglob("*.py"))
    return [path for path in files if path.stem == "__init__" or not path.stem.startswith("_")]


def private(package: str) -> list[Path]:
    """Private modules and C++ sources: they may have test files of their own and need none."""
    return [path for kind in ("_[!_]*.py", "_*.cpp") for path in sorted((ROOT / package).rglob(kind))]


def mirrored(module: Path, package: str) -> Path:
    """The test file of a module.

    sparse/layers.py: sparse/test_layers.py; models/__init__.py: models/test_models.py; _checks.py: test_checks.py.
    """
    name = module.parent.name if module.stem == "__init__" else module.stem.lstrip("_")
    return ROOT / MIRRORS[package] / module.parent.relative_to(ROOT / package) / f"test_{name}.py"


def owners() -> dict[Path, Path | None]:
    """The module of each test file test_MODULE[_ASPECT].py in a mirror: of several, that with the longest name."""
    found: dict[Path, Path | None] = {}
    for package, mirror in MIRRORS.items():
        tested = {mirrored(module, package): module for module in (*private(package), *modules(package))}
        for file in sorted((ROOT / mirror).rglob("test_*.py")):
            words = file.stem.split("_")
            names = ["_".join(words[:count]) for count in range(len(words), 1, -1)]
            fitting = [tested[path] for name in names if (path := file.with_name(f"{name}.py")) in tested]
            found[file] = fitting[0] if fitting else None
    return found


def lines_of_code(module: Path) -> int:
    """Lines that are not blank, comment, docstring, import or `__all__`."""
    text = module.read_text(encoding="utf-8")
    passed_over: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            passed_over.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
        exported = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if exported or isinstance(node, ast.Import | ast.ImportFrom):
            passed_over.update(range(node.lineno, (node.end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(line.strip()) and line.lstrip()[0] != "#" and i not in passed_over for i, line in lines)


def test_every_test_file_belongs_to_a_module() -> None:
    strays = {relative(file) for file, module in owners().items() if module is None}
    assert sorted(strays - CROSS_CUTTING.keys()) == []
    assert sorted(CROSS_CUTTING.keys() - strays) == [], "these need not be listed"


def test_every_module_has_a_test_file() -> None:
    tested = set(owners().values())
    bare = {
        relative(module)
        for package in MIRRORS
        for module in modules(package)
        if module not in tested and lines_of_code(module) > SMALL
    }
    assert sorted(bare - UNTESTED.keys()) == []
    assert sorted(UNTESTED.keys() - bare) == [], "these need not be listed"


def test_no_file_is_long() -> None:
    files = [
        file
        for folder in (*PACKAGES, "tests", "packaging")
        for kind in ("*.py", "*.cpp", "*.h", "*.cu")
        for file in (ROOT / folder).rglob(kind)
    ]
    lengths = {relative(file): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert len(lengths) > 200
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_public_names_have_docstrings() -> None:
    def undocumented(name: str, node: ast.AST) -> list[str]:
        own = [] if ast.get_docstring(node) else [name]  # type: ignore[arg-type]
        children = node.body if isinstance(node, ast.Module | ast.ClassDef) else []
        public = [one for one in children if isinstance(one, ast.ClassDef | ast.FunctionDef) and one.name[0] != "_"]
        return own + [found for child in public for found in undocumented(f"{name}: {child.name}", child)]

    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for package in PACKAGES for path in modules(package)}
    assert [name for path, tree in trees.items() for name in undocumented(relative(path), tree)] == []


def test_no_two_modules_of_a_distribution_have_one_name() -> None:
    for package in PACKAGES:
        # A command's module is called after the command, which may be a package's name.
        own = [path for path in modules(package) if path.parent.name != "cli" and path.parent != ROOT / package]
        names = Counter(path.parent.name if path.stem == "__init__" else path.stem for path in own)
        assert {name for name, count in names.items() if count > 1} == set()
