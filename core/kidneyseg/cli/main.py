"""Parsing, exit codes, and the one place where an error becomes a sentence on the terminal."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from kidneyseg.errors import Cancelled, InputError, KidneySegError, OutputError, SettingsError
from kidneyseg.version import __version__

# Each module has `add_to(subparsers)` for its arguments and `run(arguments)`. Only the latter imports the engine:
# --help must not wait for torch.
_COMMANDS = (
    "segment",
    "serve-dicom",
    "watch-folder",
    "evaluate",
    "train",
    "crossvalidate",
    "phantom",
    "bench",
    "info",
)

# How `imaging.dicom.decoding` starts a process of this program that decodes compressed frames. Not a user's command.
_DECODE_FRAMES = "decode-frames"
# How `service.job_process` starts one that segments the CT of a job, as `segment` does, and ends with its server.
_SEGMENT_JOB = "segment-job"

_EXIT_CODES = """\
exit codes: 0 done; 1 no kidneys were found (with --strict) or another failure; 2 wrong arguments or settings;
3 the input cannot be used; 4 the output cannot be written; 130 interrupted

Research use only. Not a medical device."""

_NOT_PRINTED = (
    "The report was not printed: writing to standard output failed ({}). Files that were written are complete."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == [_DECODE_FRAMES]:
        from kidneyseg.imaging.dicom.decoder_process import serve

        return serve()
    if arguments[:1] == [_SEGMENT_JOB]:
        from kidneyseg.service.job_process import live_with_parent

        live_with_parent()
        arguments[0] = "segment"
    return _run_command(make_parser().parse_args(arguments))


def _run_command(parsed: argparse.Namespace) -> int:
    captured = _open_closed_streams()
    logging.basicConfig(level=logging.INFO if parsed.verbose else logging.WARNING, format="%(asctime)s %(message)s")
    try:
        code = int(parsed.run(parsed) or 0)
        sys.stdout.flush()
        if captured is not None and captured.getvalue():
            raise OutputError(_NOT_PRINTED.format("it is closed"))
        return code
    except KidneySegError as error:
        print(f"kidneyseg: {error}", file=sys.stderr)
        return exit_code(error)
    except (Cancelled, KeyboardInterrupt):
        print("kidneyseg: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader closed the pipe, as in `kidneyseg info | head`.
        _discard_output()
        return 0
    except OSError as error:
        if not _output_fails():
            raise
        _discard_output()
        print(f"kidneyseg: {_NOT_PRINTED.format(error.strerror)}", file=sys.stderr)
        return exit_code(OutputError())
    except MemoryError:
        print("kidneyseg: this machine has too little free memory for this CT; close other programs", file=sys.stderr)
        return 1


def _open_closed_streams() -> io.StringIO | None:
    """Stand-ins for standard streams that the caller has closed; the one for standard output, if it was.

    Otherwise a file opened later would get one of their descriptors, and printed text would end up in it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stderr = sys.stderr or io.StringIO()
    if sys.stdout is not None:
        return None
    sys.stdout = captured = io.StringIO()
    return captured


def _output_fails() -> bool:
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def _discard_output() -> None:
    """Without this Python tries to write again at exit and prints an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands, from which the man page is made, too."""
    parser = argparse.ArgumentParser(
        prog="kidneyseg",
        description="Kidneys and kidney tumours on CT by submanifold sparse convolution.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kidneyseg {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="print more messages")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        import_module(f"kidneyseg.cli.{name.replace('-', '_')}").add_to(commands)
    return parser


def exit_code(error: KidneySegError) -> int:
    """The exit code for an error; see _EXIT_CODES."""
    codes: dict[type[KidneySegError], int] = {SettingsError: 2, InputError: 3, OutputError: 4}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 1)
