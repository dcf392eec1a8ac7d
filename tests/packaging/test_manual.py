"""The man pages, which are made from the programs' parsers."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from manual import page

from kidneyseg.cli.main import make_parser
from kidneyseg.version import __version__
from kidneyseg_gui.__main__ import make_parser as make_window_parser

PARSERS = {"kidneyseg": make_parser, "kidneyseg-gui": make_window_parser}


def page_of(program: str) -> str:
    return page(PARSERS[program](), __version__, epoch=1_796_000_000)


def shown(text: str) -> str:
    """The words of a page, without troff's escapes."""
    return text.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")


def parsers(program: str) -> list[argparse.ArgumentParser]:
    top = PARSERS[program]()
    commands = [a for a in top._actions if isinstance(a, argparse._SubParsersAction)]
    return [top, *(parser for action in commands for parser in action.choices.values())]


@pytest.mark.parametrize("program", PARSERS)
def test_every_option_of_help_is_on_the_page(program: str) -> None:
    text = shown(page_of(program))
    for parser in parsers(program):
        assert parser.prog in text
        told = set(re.findall(r"--[a-z][\w-]*", parser.format_help()))
        assert told
        assert {option for option in told if option not in text} == set()


@pytest.mark.parametrize("program", PARSERS)
def test_the_page_names_its_version_and_day(program: str) -> None:
    assert page_of(program).splitlines()[0] == (
        f'.TH {program.upper()} 1 "2026-11-30" "KidneySeg {__version__}" "User Commands"'
    )


@pytest.mark.parametrize("program", PARSERS)
@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_reads_the_page(program: str, tmp_path: Path) -> None:
    (tmp_path / "page.1").write_text(page_of(program), encoding="utf-8")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "error", tmp_path / "page.1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_nothing_in_a_text_is_taken_for_a_request() -> None:
    parser = argparse.ArgumentParser(prog="kidneyseg", description=".hidden. 'quoted'. a\\b", epilog=".end")
    parser.add_argument("--depth", help=".nii or -5 %% of it")
    lines = page(parser, "1", 0).splitlines()
    requests = {line.split()[0] for line in lines if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".B", ".TP", ".PP", ".BR"}
    assert "\\&.nii or \\-5 % of it" in lines
