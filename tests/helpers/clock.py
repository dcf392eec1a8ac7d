"""A clock that tests set."""

from __future__ import annotations


class Clock:
    """What `time.monotonic` says, for the fixture `clock`."""

    now = 100.0
