"""Reads CTs one ahead of the work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from kidneyseg.errors import KidneySegError
from kidneyseg.imaging.readers import load
from kidneyseg.imaging.volume import Volume


class Read(NamedTuple):
    """A CT's path, and its volume or why it cannot be read."""

    path: Path
    volume: Volume | KidneySegError


class ReadAhead:
    """Reads CTs in a thread. While the caller works on one, the thread computes its hash and reads the next.

    Two volumes are in memory at a time. As a context manager it waits for the thread when it is left.
    """

    def __init__(self, read: Callable[[Path], Volume] = load) -> None:
        self._load = read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reading")
        self._begun: tuple[Path, Future[Read]] | None = None

    def begin(self, path: Path) -> None:
        """Begin to read a CT, before `each` is called with it as the first one. If it is not, it was read in vain."""
        self._begun = path, self._thread.submit(self._read, path)

    def each(self, paths: Sequence[Path]) -> Iterator[Read]:
        """The CTs in order. One that cannot be read does not end the iteration."""
        rest = iter(paths)

        def following() -> Future[Read] | None:
            path = next(rest, None)
            begun, self._begun = self._begun, None
            if path is None:
                return None
            return begun[1] if begun is not None and begun[0] == path else self._thread.submit(self._read, path)

        waiting = following()
        while waiting is not None:
            one = waiting.result()
            if isinstance(one.volume, Volume):
                self._thread.submit(_hash, one.volume)
            waiting = following()
            yield one
            del one

    def _read(self, path: Path) -> Read:
        try:
            return Read(path, self._load(path))
        except KidneySegError as error:
            return Read(path, error)

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)


def read_ahead(paths: Sequence[Path], read: Callable[[Path], Volume] = load) -> Iterator[Read]:
    """Read CTs in order, each while the caller works on the one before; see `ReadAhead`."""
    with ReadAhead(read) as reading:
        yield from reading.each(paths)


def _hash(volume: Volume) -> None:
    _ = volume.hu_sha256  # the volume keeps it for its sidecar
