"""The documentation is true: its examples run, its links lead somewhere, its options and figures exist."""

from __future__ import annotations

import argparse
import re
import runpy
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

from kidneyseg.cli.main import make_parser
from kidneyseg.imaging import readers
from kidneyseg.imaging.nifti import save_volume
from kidneyseg.phantom.abdomen import make_phantom
from kidneyseg.segmentation.method import METHODS
from kidneyseg.settings import PRESETS
from kidneyseg.training import augmentation

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("packaging/*.md"), *ROOT.glob("core/**/*.md")]
)
RESULTS = ROOT / "docs/results.md"
# Experiments that were given up: their figures are no results of the program.
NOT_HELPFUL = ROOT / "docs/explanation/what-did-not-help.md"
_RUN_BY_TEST = "tests/test_docs.py runs the Python blocks"
_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
# What the examples register must not outlive them.
_REGISTRIES = (readers._readers, METHODS, PRESETS, *augmentation.REGISTRY.values())


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def small_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("docs") / "ct.nii.gz"
    save_volume(make_phantom(shape=(112, 80, 30), spacing_mm=(2.2, 2.2, 6.0))[0], path)
    return path


@pytest.mark.parametrize("page", [p for p in PAGES if _RUN_BY_TEST in _text(p)], ids=_name)
def test_examples_run(page: Path, small_ct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ct.nii.gz").symlink_to(small_ct)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    blocks = _BLOCK.findall(_text(page))
    assert blocks
    with ExitStack() as stack:
        for registry in _REGISTRIES:
            stack.enter_context(patch.dict(registry))
        for code in blocks:
            line = _text(page)[: _text(page).index(code)].count("\n")
            exec(compile("\n" * line + code, page, "exec"), names)


def _anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", _text(page)):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{_name(page)}: {link}"
        if anchor:
            assert anchor in _anchors(target), f"{_name(page)}: {link}"


def test_every_page_is_in_the_index() -> None:
    index = _text(ROOT / "docs/README.md")
    for page in ROOT.glob("docs/**/*.md"):
        assert page.name == "README.md" or f"({page.relative_to(ROOT / 'docs')})" in index, _name(page)


def test_pages_that_code_and_help_texts_name_exist() -> None:
    folders = ("core", "kidneyseg_gui", "tests", "benchmarks", "packaging")
    sources = [
        path for folder in folders for path in ROOT.glob(f"{folder}/**/*") if path.suffix in (".py", ".sh", ".toml")
    ]
    for source in [*sources, *PAGES, ROOT / "run", ROOT / "check"]:
        for page in set(re.findall(r"\bdocs/[\w/-]+\.md", _text(source))) - {"docs/tried.md"}:  # in the history
            assert (ROOT / page).is_file(), f"{_name(source)} names {page}"


def _commands() -> dict[str, set[str]]:
    actions = (action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return {name: set(parser._option_string_actions) for name, parser in next(actions).choices.items()}


def test_options_in_the_documentation_exist() -> None:
    known = _commands()
    for page in PAGES:
        for line in re.findall(r"kidneyseg ((?!-)[a-z].*(?:\n {8,}--.*)*)", _text(page)):
            command, options = line.split()[0], re.findall(r"(?<![\w-])--[a-z][a-z-]*", line.split("`")[0])
            if command in known:
                assert set(options) <= known[command], f"{_name(page)}: kidneyseg {line}"


def test_figures_are_those_of_the_results() -> None:
    """Dice and the like (.938, 0.742) stand in docs/results.md; another page may quote them, not have its own."""
    results = set(re.findall(r"\.\d{3}\b", _text(RESULTS)))
    for page in set(PAGES) - {RESULTS, NOT_HELPFUL}:
        own = set(re.findall(r"(?<![\d.])0?(\.\d{3})(?![\d.])\b", _text(page))) - results
        assert not own, f"{_name(page)} has figures that docs/results.md lacks: {own}"


def test_the_picture_of_the_imports_is_up_to_date_and_no_arrow_points_up() -> None:
    script = runpy.run_path(str(ROOT / "docs/draw_architecture.py"))
    drawn = script["draw"]()
    assert _text(script["PICTURE"]) == drawn, "run: python docs/draw_architecture.py"
    assert 'class="up"' not in drawn
