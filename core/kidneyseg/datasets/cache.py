"""What was prepared from a case, kept on disk under the content of its files and the settings it was made with."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import OutputError
from kidneyseg.files import atomic_write

Arrays = dict[str, NDArray[Any]]

log = logging.getLogger(__name__)

# Part of every key: raise it when what is prepared from the same files changes.
_VERSION = 3


def content_key(paths: Iterable[Path]) -> str:
    """A SHA-256 over the files' content, one after the other (some 0.9 GB/s); neither name nor time matter.

    Raises:
        OSError: when a file cannot be read.
    """
    total = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        total.update(_digest(path, stat.st_size, stat.st_mtime_ns))
    return total.hexdigest()


@cache
def _digest(path: Path, size: int, changed_ns: int) -> bytes:
    """A file's SHA-256; read once a process as long as size and time stay the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def array_key(arrays: Iterable[NDArray[Any]]) -> str:
    """A SHA-256 over the arrays' shapes, types and content."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.shape} {array.dtype} ".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def cached(
    cache: Path, name: str, kind: str, sources: Iterable[Path], make: Callable[[], Mapping[str, NDArray[Any]]]
) -> Arrays:
    """The arrays that `make()` gives, from the cache when they were made before.

    Several processes may ask at once: one makes them, the others wait for it. A damaged file is made anew; what the
    disk does not take is made again next time, which a warning says once.

    Args:
        cache: the folder; made when it is missing.
        name: the case, for the file's name.
        kind: what is made and with which settings; part of the key and of the file's name.
        sources: the files from which it is made.
        make: makes the arrays.
    """
    key = hashlib.sha256(f"{_VERSION} {kind} {content_key(sources)}".encode()).hexdigest()
    file = cache / f"{name}-{kind.split(' ', maxsplit=1)[0]}-{key[:16]}.npz"
    stored = _read(file)
    if stored is not None:
        return stored
    with locked(cache / ".locks" / file.stem):
        stored = _read(file)  # another process may have made it meanwhile
        if stored is not None:
            return stored
        arrays = dict(make())
        with kept_if_possible(cache), atomic_write(file) as archive:
            np.savez_compressed(archive, allow_pickle=False, **arrays)
        return arrays


def cache_size(cache: Path) -> tuple[int, int]:
    """How many prepared files the cache holds, and their bytes."""
    sizes = [file.stat().st_size for file in cache.glob("*.npz")]
    return len(sizes), sum(sizes)


def _read(file: Path) -> Arrays | None:
    if not file.is_file():
        return None
    try:
        # Opened here: where the content is no archive, numpy leaves its own file open.
        with file.open("rb") as content, np.load(content, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        log.warning("the cache file %s is damaged (%s); it is made anew", file, error)
        return None


@contextmanager
def kept_if_possible(cache: Path) -> Iterator[None]:
    """What is written inside is a convenience: a disk that does not take it is told of, once, and work goes on."""
    try:
        yield
    except (OSError, OutputError) as error:
        _tell_of(cache, getattr(error.__cause__ or error, "strerror", None) or str(error))


@cache
def _tell_of(folder: Path, why: str) -> None:
    log.warning(
        "%s cannot be written (%s): cases are prepared again each time; free space, or give --cache", folder, why
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting for another process that does; its folder is made where it is missing.

    On a file system without locks, or one that cannot be written, two processes may do the same work, and the later
    result stays.
    """
    with ExitStack() as held:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(held.enter_context(path.open("wb")), fcntl.LOCK_EX)
        yield
