"""`kidneyseg bench`: where the time goes on this machine."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.cli.terminal import lasting_imports
from kidneyseg.settings import PRESET_NAMES

if TYPE_CHECKING:
    from kidneyseg.imaging.volume import Volume

_MEANING = """\
The columns:
  first CT   in a fresh process, as `kidneyseg segment CT` does it: Python starts, the CT is read beside the imports,
             the networks are loaded from their files, and the memory that they work in is new.
  next CT    the same CT once more in that process, as for each further CT of `kidneyseg segment CT CT ...` or in the
             window. The sparse convolutions reuse memory.

Every repeat starts one process, which segments the CT twice. Each row is the median of its own times, and imports and
reading overlap, so rows do not add up to the total. "kernel maps" and "convolutions" are the two main parts of a stage
and timed by themselves; its other parts are points, probabilities and labels. "CPU time" counts all threads and depends
less than the other rows on what else runs on the machine.

The file of the CT is read from the system's cache, except perhaps the first time. Nothing is kept: the masks go to a
temporary folder."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "bench",
        help="time the stages on this machine",
        description="Time each stage of a segmentation on this machine: on the synthetic sample case, which takes\n"
        "under 20 seconds on two cores, or on a CT.",
        epilog=_MEANING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ct", type=Path, nargs="?", metavar="CT", help="a CT; the sample case if not given")
    parser.add_argument("--repeats", type=_count, default=3, metavar="N", help="processes to start (%(default)s)")
    parser.add_argument(
        "--threads", type=_count, metavar="N", help="for the networks; OMP_NUM_THREADS or all cores if not given"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON, with the seconds of every repeat")
    parser.add_argument("--preset", choices=PRESET_NAMES, default="default", help="the method (%(default)s)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (%(default)s)")
    parser.add_argument("--models", type=Path, metavar="DIR", help="networks of your own instead of the bundled ones")
    # Of a process that is timed: when it was started, by the clock `time.monotonic`, which all processes share.
    parser.add_argument("--started-at", type=float, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Start the processes and print the table; or, in one of them, segment and print the times."""
    if arguments.started_at is None:
        from kidneyseg.cli.benching import bench

        return bench(arguments)

    with lasting_imports():
        from kidneyseg.imaging.read_ahead import ReadAhead
        from kidneyseg.imaging.readers import load

    reading_s: list[float] = []

    def timed_load(ct: Path) -> Volume:
        started = time.monotonic()
        volume = load(ct)
        reading_s.append(time.monotonic() - started)
        return volume

    with ReadAhead(timed_load) as reading:
        reading.begin(arguments.ct)
        with lasting_imports():
            from kidneyseg.cli.bench_process import print_times

        return print_times(arguments, reading, reading_s)


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError("a whole number from 1 on")
    return int(text)
