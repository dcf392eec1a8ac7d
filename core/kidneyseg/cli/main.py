"""Parsing, exit codes, and the one place where an error becomes a sentence on the terminal."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from kidneyseg import __version__
from kidneyseg.errors import Cancelled, InputError, KidneySegError, OutputError, SettingsError

# Each module has `add_to(subparsers)` for its arguments and `run(arguments)`. Only the latter imports the engine:
# --help must not wait for torch.
_COMMANDS = ("segment", "evaluate", "train", "crossvalidate", "phantom", "info")

_EXIT_CODES = """\
exit codes: 0 done; 1 no kidneys were found (with --strict) or another failure; 2 wrong arguments or settings;
3 the input cannot be used; 4 the output cannot be written; 130 interrupted

Research use only. Not a medical device."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parsed = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if parsed.verbose else logging.WARNING, format="%(asctime)s %(message)s")
    try:
        return int(parsed.run(parsed) or 0)
    except KidneySegError as error:
        print(f"kidneyseg: {error}", file=sys.stderr)
        return _code(error)
    except (Cancelled, KeyboardInterrupt):
        print("kidneyseg: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader left (`kidneyseg info | head`); without this Python complains again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        print("kidneyseg: this machine has too little free memory for this CT; close other programs", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kidneyseg",
        description="Kidneys and kidney tumours on CT by submanifold sparse convolution.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kidneyseg {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more of what is being done")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        import_module(f"kidneyseg.cli.{name}").add_to(commands)
    return parser


def _code(error: KidneySegError) -> int:
    codes: dict[type[KidneySegError], int] = {SettingsError: 2, InputError: 3, OutputError: 4}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 1)
