"""Man pages from the programs' own parsers, so that they cannot disagree with --help."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime

_NAMES = {
    "kidneyseg": "segment kidneys and kidney tumours on CT",
    "kidneyseg-gui": "window for segmenting kidneys and kidney tumours on CT",
}


def page(parser: argparse.ArgumentParser, version: str, epoch: int) -> str:
    """The page of section 1 for a program, with all its commands, in troff's man macros."""
    name = parser.prog
    day = datetime.fromtimestamp(epoch, UTC).date().isoformat()
    other = next(program for program in _NAMES if program != name)
    lines = [
        f'.TH {name.upper()} 1 "{day}" "KidneySeg {version}" "User Commands"',
        ".SH NAME",
        f"{_plain(name)} \\- {_plain(_NAMES[name])}",
        ".SH SYNOPSIS",
        *_synopsis(parser),
        ".SH DESCRIPTION",
        _text(parser.description or ""),
        ".SH OPTIONS",
        *_options(parser),
    ]
    commands = _commands(parser)
    if commands:
        lines.append(".SH COMMANDS")
        for command in commands.values():
            lines += [f".SS {_plain(command.prog)}", *_synopsis(command), ".PP", _text(command.description or "")]
            lines += _options(command)
    lines += [".SH NOTES", *_notes(parser.epilog or ""), ".SH SEE ALSO", f".BR {_plain(other)} (1)"]
    return "\n".join(lines) + "\n"


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _synopsis(parser: argparse.ArgumentParser) -> list[str]:
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    rest = usage.removeprefix(parser.prog).strip()
    return [f".B {_plain(parser.prog)}", _text(rest)] if rest else [f".B {_plain(parser.prog)}"]


def _options(parser: argparse.ArgumentParser) -> list[str]:
    lines: list[str] = []
    formatter = parser._get_formatter()
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction):
            continue
        shown = formatter._format_action_invocation(action)
        words = formatter._expand_help(action) if action.help else ""
        lines += [".TP", f".B {_plain(shown)}", _text(words) or "\\&"]
    return lines


def _notes(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines += [".PP", _text(paragraph)]
    return lines


def _text(text: str) -> str:
    """One line per sentence, with nothing that troff would take for a request."""
    flat = " ".join(text.split())
    return "\n".join(_plain(sentence) for sentence in re.split(r"(?<=[.;:]) ", flat))


def _plain(text: str) -> str:
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe
