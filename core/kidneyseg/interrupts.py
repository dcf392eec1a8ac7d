"""Ctrl-C and SIGTERM while long work runs: it comes to a point where it can be resumed, then stops."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; a second one has its usual effect.

    Outside the main thread, where Python handles no signals, the event is never set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def request_stop(*_: object) -> None:
        stop.set()
        restore()

    for number in _SIGNALS:
        signal.signal(number, request_stop)
    try:
        yield stop
    finally:
        restore()
