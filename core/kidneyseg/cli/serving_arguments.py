"""What `serve-dicom` and `watch-folder` share: arguments, and the list of a queue."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.settings import PRESET_NAMES

if TYPE_CHECKING:
    from kidneyseg.service.jobs import Job

_STATES = {"received": "waits to be segmented", "segmented": "waits to be sent"}


def add_serving(parser: argparse.ArgumentParser, settle_s: float) -> None:
    """The arguments of both commands. `settle_s` is the default of --settle in seconds."""
    parser.add_argument(
        "--settle",
        type=above_zero,
        default=settle_s,
        metavar="S",
        help="seconds without a change after which a study is complete (%(default)g)",
    )
    parser.add_argument(
        "--timeout",
        type=above_zero,
        default=1800.0,
        metavar="S",
        help="most seconds for segmenting one CT (%(default)g)",
    )
    parser.add_argument("--retry-failed", action="store_true", help="at the start, take up jobs that failed once more")
    parser.add_argument("--status", action="store_true", help="list the jobs of the queue, and exit")
    group = parser.add_argument_group("settings", "as of `kidneyseg segment`")
    group.add_argument("--preset", choices=PRESET_NAMES, default="default", help="the method (%(default)s)")
    group.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (%(default)s)")
    group.add_argument("--models", type=Path, metavar="DIR", help="networks of your own instead of the bundled ones")


def above_zero(text: str) -> float:
    """The type of an argument that is a number above 0, such as seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0, not {text!r}")
    return value


def options_of(arguments: argparse.Namespace) -> list[str]:
    """The options of `kidneyseg segment` that are given on to each job."""
    models = [] if arguments.models is None else ["--models", str(arguments.models.resolve())]
    return ["--preset", arguments.preset, "--device", arguments.device, *models]


def say(sentence: str) -> None:
    """Print a line with the time on standard output, at once."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sentence}", flush=True)


def print_jobs(folder: Path) -> None:
    """List the jobs of a queue, without anything of the patients."""
    from kidneyseg.service.job_queue import read_jobs

    jobs = read_jobs(folder)
    if not jobs:
        print("The queue is empty.")
    for job in jobs:
        print(_line(job))


def _line(job: Job) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.changed_at))
    state = _STATES.get(str(job.state), str(job.state))
    count = f", {job.objects} images" if job.objects else ""
    tries = f", sent {job.sends} times in vain" if job.sends else ""
    return f"{job.number:>5}  {when}  {state}{count}{tries}{'. ' if job.problem else ''}{job.problem}"
