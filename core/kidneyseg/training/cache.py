"""What was prepared from a case, kept on disk under the content of its files and the settings it was made with."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

log = logging.getLogger(__name__)

# Part of every key: raise it when what is prepared from the same files changes.
_VERSION = 2


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

    Several processes may ask at once: one makes them, the others wait for it. A damaged file is made anew.

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
        _write(file, arrays)
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


def _write(file: Path, arrays: Arrays) -> None:
    for leftover in file.parent.glob(f"{file.name}.*.part"):
        leftover.unlink(missing_ok=True)  # of a process that was killed; this one holds the lock
    temporary = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as out:
            np.savez_compressed(out, allow_pickle=False, **arrays)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting for another process that does; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        # A file system without locks: two processes may then do the same work, and the later result stays.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
