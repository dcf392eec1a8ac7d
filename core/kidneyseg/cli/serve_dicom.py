"""`kidneyseg serve-dicom`: studies come from a PACS, segmentations and reports go back to it."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.cli.serving_arguments import above_zero, add_serving, options_of, print_jobs, say
from kidneyseg.errors import SettingsError

if TYPE_CHECKING:
    from kidneyseg.service.job_queue import JobQueue
    from kidneyseg.service.jobs import Job
    from kidneyseg.service.peers import Tls
    from kidneyseg.service.processing import Processing
    from kidneyseg.service.receiver import Listening
    from kidneyseg.service.sender import Sender

_TITLE, _PORT, _LOOPBACK = "KIDNEYSEG", 11112, "127.0.0.1"
_GB = 10**9
_POLL_S = 0.5
_PLAIN = "Patients' data cross the network unprotected. Use --tls-cert, or a network of its own."


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "serve-dicom",
        help="segment studies that a PACS sends",
        description="Take CT studies by DICOM C-STORE, segment each, and send a segmentation (SEG) and a report (SR)"
        " to a peer. What was received waits in a queue on disk, which survives a kill of the server.",
    )
    parser.add_argument("--send-to", metavar="AE@HOST:PORT", help="the peer that gets the results")
    group = parser.add_argument_group("network")
    group.add_argument("--host", default=_LOOPBACK, metavar="NAME", help="address to listen on (%(default)s)")
    group.add_argument("--port", type=_port, default=_PORT, metavar="N", help="port to listen on (%(default)s)")
    group.add_argument("--ae-title", default=_TITLE, metavar="AE", help="own AE title, which peers call (%(default)s)")
    group.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="AE",
        help="AE title of a peer that may send, once for each; any on loopback if not given",
    )
    group.add_argument(
        "--associations", type=_count, default=8, metavar="N", help="most connections at a time (%(default)s)"
    )
    group.add_argument("--tls-cert", type=Path, metavar="PEM", help="certificate of this server: use TLS")
    group.add_argument("--tls-key", type=Path, metavar="PEM", help="its key, if not in the same file")
    group.add_argument("--tls-ca", type=Path, metavar="PEM", help="authority that must have signed the peers'")
    group = parser.add_argument_group("queue")
    group.add_argument("--queue", type=Path, metavar="DIR", help="folder of the queue (in the user's data folder)")
    group.add_argument(
        "--max-queue", type=above_zero, default=50.0, metavar="GB", help="most that the queue may take (%(default)g)"
    )
    group.add_argument("--keep", action="store_true", help="delete no finished job, and no image of one")
    add_serving(parser, settle_s=10.0)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from kidneyseg.interrupts import stop_on_signals
    from kidneyseg.service.intake import Intake
    from kidneyseg.service.job_queue import JobQueue
    from kidneyseg.service.receiver import Receiver
    from kidneyseg.service.work_loop import work

    folder = arguments.queue or default_folder("dicom-queue")
    if arguments.status:
        print_jobs(folder)
        return 0
    sender, how = _sender(arguments), _listening(arguments)
    with JobQueue(folder) as queue, stop_on_signals() as stop:
        processing = _processing(arguments, queue, sender, stop)
        if arguments.retry_failed:
            processing.retry_failed()
        intake = Intake(queue, arguments.settle, int(arguments.max_queue * _GB))
        with Receiver(intake, how, say) as receiver:
            by = " by TLS" if how.tls else ""
            say(f"Listening on {how.address} port {receiver.port} as {how.title}{by}. Research use only.")
            work(processing, _announced(intake.settle), stop, _POLL_S)
    say("Stopped.")
    return 0


def default_folder(name: str) -> Path:
    """A folder of this name in the user's data folder."""
    import platformdirs

    return platformdirs.user_data_path("kidneyseg", appauthor=False) / name


def _sender(arguments: argparse.Namespace) -> Sender:
    from kidneyseg.service.peers import checked_title, parse_peer, sending_context
    from kidneyseg.service.sender import Sender

    if arguments.send_to is None:
        raise SettingsError("name the peer that gets the results: --send-to AE@HOST:PORT")
    tls = sending_context(_tls(arguments))
    return Sender(parse_peer(arguments.send_to), checked_title(arguments.ae_title), tls)


def _listening(arguments: argparse.Namespace) -> Listening:
    """How to listen, after a check that not everybody is let in, and a warning where others could listen."""
    from kidneyseg.service.peers import addresses_of, checked_title, is_loopback, listening_context
    from kidneyseg.service.receiver import Listening

    address, tls = addresses_of(arguments.host)[0], _tls(arguments)
    if not is_loopback(address):
        if not arguments.allow:
            raise SettingsError(f"on {arguments.host} anyone could send; name the peers that may: --allow AE")
        if not (tls.listens and tls.sends):
            print(f"kidneyseg: {_PLAIN}", file=sys.stderr, flush=True)
    allowed = [checked_title(title) for title in arguments.allow]
    title = checked_title(arguments.ae_title)
    return Listening(title, address, arguments.port, allowed, listening_context(tls), arguments.associations)


def _tls(arguments: argparse.Namespace) -> Tls:
    from kidneyseg.service.peers import Tls

    if arguments.tls_key is not None and arguments.tls_cert is None:
        raise SettingsError("--tls-key is the key of a certificate; name that, too: --tls-cert")
    return Tls(arguments.tls_cert, arguments.tls_key, arguments.tls_ca)


def _processing(arguments: argparse.Namespace, queue: JobQueue, sender: Sender, stop: threading.Event) -> Processing:
    from kidneyseg.service.job_process import segment_job
    from kidneyseg.service.processing import Processing

    options = ["--format", "seg,sr", *options_of(arguments)]

    def segment(_job: Job, ct: Path, output: Path) -> None:
        segment_job(ct, output, options, arguments.timeout, stop)

    return Processing(queue, segment, sender.send, say, keep=arguments.keep)


def _announced(settle: Callable[[], list[Job]]) -> Callable[[], None]:
    def look() -> None:
        for job in settle():
            say(f"Job {job.number} failed: {job.problem}" if job.problem else f"Job {job.number}: received.")

    return look


def _port(text: str) -> int:
    return _whole(text, 0, 65535)


def _count(text: str) -> int:
    return _whole(text, 1, 1000)


def _whole(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"a whole number from {least} to {most}, not {text!r}")
    return int(text)
