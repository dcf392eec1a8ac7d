"""`kidneyseg watch-folder`: CTs that are put into a folder are segmented into another one."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.cli.segment import FORMATS, formats_of
from kidneyseg.cli.serve_dicom import default_folder
from kidneyseg.cli.serving_arguments import add_serving, options_of, print_jobs, say
from kidneyseg.errors import SettingsError

if TYPE_CHECKING:
    from kidneyseg.service.jobs import Job

_POLL_S = 1.0


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "watch-folder",
        help="segment CTs that are put into a folder",
        description="Segment each study folder, zip and NIfTI file that lies in a folder, or is put there, as soon as"
        " it has stopped changing. Each is segmented once, and again when it has changed.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where CTs are put; nothing in it is changed")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--format",
        type=formats_of,
        action="extend",
        default=[],
        metavar="F,F",
        help=f"what to write: {', '.join(FORMATS)} (nifti, and for DICOM seg and sr); of NIfTI always nifti",
    )
    parser.add_argument("--queue", type=Path, metavar="DIR", help="folder of the jobs (in the user's data folder)")
    add_serving(parser, settle_s=10.0)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Watch until interrupted."""
    from kidneyseg.files import make_folder
    from kidneyseg.imaging.readers import reads_dicom
    from kidneyseg.interrupts import stop_on_signals
    from kidneyseg.service.job_process import NotSegmentedError, segment_job
    from kidneyseg.service.job_queue import JobQueue
    from kidneyseg.service.processing import Processing
    from kidneyseg.service.watching import WatchedFolder, without_names
    from kidneyseg.service.work_loop import work

    path = str(arguments.folder.resolve())
    folder = arguments.queue or default_folder(f"watch-{hashlib.sha256(path.encode()).hexdigest()[:16]}")
    if arguments.status:
        print_jobs(folder)
        return 0
    if arguments.output is None:
        raise SettingsError("name the folder for the results: -o DIR")
    options = options_of(arguments)

    with JobQueue(folder) as queue, stop_on_signals() as stop:
        watched = WatchedFolder(arguments.folder, arguments.output, queue, arguments.settle)
        make_folder(arguments.output)

        def segment(_job: Job, ct: Path, _results: Path) -> None:
            formats = (arguments.format or ["nifti", "seg", "sr"]) if reads_dicom(ct) else ["nifti"]
            wanted = ["--format", ",".join(formats), *options]
            try:
                segment_job(ct, arguments.output.resolve(), wanted, arguments.timeout, stop)
            except NotSegmentedError as error:
                raise NotSegmentedError(without_names(str(error), ct), lasting=error.lasting) from None

        # A record is kept as long as its CT: without it, that would be segmented again.
        processing = Processing(queue, segment, None, say, ended=watched.tell, keep=True)
        if arguments.retry_failed:
            processing.retry_failed()
        say("Watching. Research use only.")
        work(processing, watched.look, stop, _POLL_S)
    say("Stopped.")
    return 0
