"""Atomic writes: a crash never leaves a partial file."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from kidneyseg.errors import OutputError

_PREFIX, _SUFFIX = ".kidneyseg-", ".part"
_asking = threading.Lock()


def make_folder(folder: Path) -> None:
    """Create a folder, with its parents, if it is missing. Raises OutputError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}. Choose another one.") from error


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`, which replaces `path` at the end, or is removed on any error.

    A link is followed, so that its target is replaced and the link stays. Temporary files that a killed process left
    in the folder are removed. Raises OutputError when the folder is missing or not writable, the file is
    write-protected, exists while `overwrite` is false, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = _mode_of_target(target, overwrite)
        remove_abandoned(target.parent)
        file, temporary = _open_temporary(target.parent)
    except OSError as error:
        raise _output_error(error, target) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.chmod(temporary, mode)
            os.replace(temporary, target)  # before the file is closed, which gives up its lock
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _output_error(error, target) from error
        raise
    sync_folder(target.parent)


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file with this content by `atomic_write`. Raises OutputError."""
    with atomic_write(path) as file:
        file.write(content)


def check_writable(path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Raise OutputError if `atomic_write` would fail on `path` before writing; nothing is written."""
    target = Path(os.path.realpath(path))
    try:
        _mode_of_target(target, overwrite)
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not os.access(target.parent, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _output_error(error, target) from error


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files in `folder` whose writer no longer runs.

    A writer locks its file, and the system releases the lock of a process that ends in whatever way. A file whose
    lock is held, or cannot be tried (another user's file, a file system without locks), stays.
    """
    with suppress(OSError):
        for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            with suppress(OSError), open(path, "r+b", opener=_no_links) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)


def _no_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _open_temporary(folder: Path) -> tuple[IO[bytes], str]:
    """A new file in `folder`, locked against `remove_abandoned` where the file system has locks; and its path."""
    while True:
        descriptor, path = tempfile.mkstemp(dir=folder, prefix=_PREFIX, suffix=_SUFFIX)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.exists(path):  # else another process removed it in the instant before it was locked
            return os.fdopen(descriptor, "wb"), path
        os.close(descriptor)


def _mode_of_target(target: Path, overwrite: bool) -> int:
    """Permission bits for the new file: those of the file it replaces, else what the user's umask gives."""
    if target.is_dir():
        raise OutputError(f"{target} is a folder. Add a file name.")
    if not target.exists():
        with _asking:  # the umask is told only by setting it: two threads at once would leave it at 0
            umask = os.umask(0)
            os.umask(umask)
        return 0o666 & ~umask
    if not overwrite:
        raise OutputError(f"{target.name} exists already. Choose another name, or allow it to be replaced.")
    with open(target, "r+b"):  # a rename would silently replace a write-protected file
        return stat.S_IMODE(target.stat().st_mode)


def sync_folder(folder: Path) -> None:
    """Make a file's new entry in a folder durable, where the system lets folders be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _output_error(error: OSError, target: Path) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{target.name} was not written: the disk is full. Free some space, or choose another disk.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{target} may not be written. Choose a folder that you have write permission for.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return OutputError(f"There is no folder {target.parent}. Create it, or choose another one.")
    return OutputError(f"{target.name} was not written: {error.strerror or error}. Choose another place or name.")
