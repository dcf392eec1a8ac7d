"""Ctrl-C and SIGTERM while training: finish the step, write a checkpoint, then stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

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

    def request_stop(number: int, frame: FrameType | None) -> None:
        stop.set()
        _set_handlers(previous)

    _set_handlers(dict.fromkeys(_SIGNALS, request_stop))
    try:
        yield stop
    finally:
        _set_handlers(previous)


def _set_handlers(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
