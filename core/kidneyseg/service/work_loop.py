"""The loop of a server: looks for new jobs, works on one after another, and cleans up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from kidneyseg.errors import Cancelled, OutputError
from kidneyseg.service.processing import Processing

_CLEAN_EVERY_S = 3600.0
_PAUSE_S = 10.0  # when the queue cannot be written


def work(processing: Processing, look: Callable[[], object], stop: threading.Event, poll_s: float) -> None:
    """Work until `stop` is set. A job that is then in work is given back, for the next start.

    Args:
        processing: of the queue.
        look: called before each job and every `poll_s` seconds; makes new jobs.
        stop: ends the work.
        poll_s: seconds.
    """
    cleaned = float("-inf")
    while not stop.is_set():
        try:
            if time.monotonic() - cleaned > _CLEAN_EVERY_S:
                processing.clean()
                cleaned = time.monotonic()
            look()
            if not processing.step():
                stop.wait(poll_s)
        except Cancelled:
            return
        except OutputError as error:
            processing.say(str(error))
            stop.wait(_PAUSE_S)
