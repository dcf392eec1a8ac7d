"""Reads CTs one ahead of the work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from kidneyseg.errors import KidneySegError
from kidneyseg.imaging.readers import load
from kidneyseg.imaging.volume import Volume


class Read(NamedTuple):
    """A CT's path, and its volume or why it cannot be read."""

    path: Path
    volume: Volume | KidneySegError


def read_ahead(paths: Sequence[Path], read: Callable[[Path], Volume] = load) -> Iterator[Read]:
    """Read CTs in order. While the caller works on one, a thread computes its hash and reads the next.

    Two volumes are in memory at a time. A CT that cannot be read does not end the iteration.
    """

    def read_one(path: Path) -> Read:
        try:
            return Read(path, read(path))
        except KidneySegError as error:
            return Read(path, error)

    rest = iter(paths)
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as thread:

        def begin() -> Future[Read] | None:
            path = next(rest, None)
            return None if path is None else thread.submit(read_one, path)

        waiting = begin()
        while waiting is not None:
            one = waiting.result()
            if isinstance(one.volume, Volume):
                thread.submit(_hash, one.volume)
            waiting = begin()
            yield one
            del one


def _hash(volume: Volume) -> None:
    _ = volume.hu_sha256  # the volume keeps it for its sidecar
