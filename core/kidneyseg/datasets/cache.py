"""A disk cache of what is prepared from cases, keyed by the content of their files and the settings."""

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
    """A SHA-256 over the content of the files (about 0.9 GB/s); names and times do not matter.

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
    """A file's SHA-256; computed once per process while size and time stay the same."""
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
    """The arrays of `make()`, read from the cache if they are there.

    When several processes request the same arrays, one makes them and the others wait. A damaged file is replaced. If
    the cache cannot be written, a warning says so once, and the arrays are made again next time.

    Args:
        cache: the folder; made when it is missing.
        name: the case, for the file's name.
        kind: what is made and with which settings; part of the key, and its first word of the file's name.
        sources: the files that the arrays are made from.
    """
    key = hashlib.sha256(f"{_VERSION} {kind} {content_key(sources)}".encode()).hexdigest()
    file = cache / f"{name}-{kind.split(' ', maxsplit=1)[0]}-{key[:16]}.npz"
    stored = _read(file)
    if stored is not None:
        return stored
    with _locked(cache / ".locks" / file.stem):
        stored = _read(file)  # another process may have made it meanwhile
        if stored is not None:
            return stored
        arrays = dict(make())
        try:
            with atomic_write(file) as content:
                np.savez_compressed(content, allow_pickle=False, **arrays)
        except OutputError as error:  # costs time, not the result
            _warn_of(cache, getattr(error.__cause__, "strerror", None) or str(error))
        return arrays


def cache_size(cache: Path) -> tuple[int, int]:
    """The number of prepared files in the cache, and their size in bytes."""
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
        log.warning("the cache file %s is damaged (%s) and is made again", file, error)
        return None


@cache
def _warn_of(folder: Path, reason: str) -> None:
    log.warning("the cache %s cannot be written, so cases are prepared again each time (--cache): %s", folder, reason)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting while another process holds it; its folder is made where it is missing.

    On a file system without locks, or one that cannot be written, there is no lock: two processes may then do the same
    work, and the later result stays.
    """
    with ExitStack() as held:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(held.enter_context(path.open("wb")), fcntl.LOCK_EX)
        yield
