"""Reading user files once from front to back, and writing results so that a crash never leaves half a file."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import IO

from isal import isal_zlib
from isal.igzip_lib import IsalError

from kidneyseg.errors import InputError, OutputError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 18  # of compressed bytes: what is not yet used is copied, so bigger is slower
_DEFLATE_MAX_RATIO = 1032  # no deflate stream unpacks to more than this many times its size
_SURPLUS = 16 << 20  # bytes after the voxels that are still unpacked to reach gzip's checksum


class InputStream:
    """A file's content, unpacked when it is gzip (told by content, not by name), read once from front to back.

    Raises InputError for a path that is missing, no regular file or not readable, and on reading for a stream that is
    cut off or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open_regular(path)
        self.size = os.fstat(self._file.fileno()).st_size
        magic = self._file.read(2)
        self._file.seek(0)
        self._unpacker = isal_zlib.decompressobj(wbits=31) if magic == _GZIP_MAGIC else None
        self._left = b""

    @property
    def packed(self) -> bool:
        """Whether the file is gzip."""
        return self._unpacker is not None

    @property
    def most_bytes(self) -> int:
        """The content's length, or for gzip the most it can possibly be, known without reading it."""
        return self.size * _DEFLATE_MAX_RATIO if self.packed else self.size

    def read(self, length: int) -> bytearray:
        """The next `length` bytes. Raises InputError when there are fewer, or when they are damaged."""
        content = self._read(length)
        if len(content) < length:
            raise self._cut_off()
        return content

    def peek_header(self, length: int) -> bytearray:
        """Up to `length` bytes, fewer at the file's end: for telling what kind of file this is."""
        return self._read(length)

    def skip(self, length: int) -> None:
        """Pass over `length` bytes (a header's extensions), a piece at a time."""
        while length > 0:
            length -= len(self.read(min(length, _SURPLUS)))

    def finish(self) -> None:
        """Read on to gzip's checksum. Raises InputError when the content does not match it or never ends."""
        if self._unpacker is not None:
            surplus = self._read(_SURPLUS)
            if len(surplus) < _SURPLUS and not self._unpacker.eof:
                raise self._cut_off()

    def __enter__(self) -> InputStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def _read(self, length: int) -> bytearray:
        try:
            return self._unpack(length) if self.packed else self._read_plain(length)
        except IsalError as error:  # type: ignore[misc] # its stub calls the class an instance
            raise InputError(f"{self.path.name} is damaged: its gzip data do not unpack. Copy it again.") from error
        except OSError as error:
            raise InputError(f"{self.path.name} could not be read: {error.strerror or error}.") from error

    def _read_plain(self, length: int) -> bytearray:
        content = bytearray(length)
        got = 0
        while got < length and (n := self._file.readinto(memoryview(content)[got:])):
            got += n
        return content[:got] if got < length else content

    def _unpack(self, length: int) -> bytearray:
        content = bytearray()
        while len(content) < length:
            assert self._unpacker is not None
            if self._unpacker.eof:  # some writers append gzip members one after the other
                rest = self._unpacker.unused_data or self._file.read(_CHUNK)
                if not rest.startswith(_GZIP_MAGIC):
                    break
                self._unpacker, self._left = isal_zlib.decompressobj(wbits=31), rest
            packed = self._left or self._file.read(_CHUNK)
            if not packed:
                break
            content += self._unpacker.decompress(packed, length - len(content))
            self._left = self._unpacker.unconsumed_tail
        return content

    def _cut_off(self) -> InputError:
        return InputError(f"{self.path.name} is cut off: it ends before its data do. Copy or download it again.")


def _open_regular(path: Path) -> FileIO:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path.name or path} is a folder. Choose a NIfTI file (.nii or .nii.gz) in it.")
        if not stat.S_ISREG(mode):
            raise InputError(f"{path.name} is a device or pipe, not a file. Choose a NIfTI file (.nii or .nii.gz).")
        return open(path, "rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"There is no file {path}. Check the name and folder.") from error
    except PermissionError as error:
        raise InputError(f"{path.name} may not be read. Give yourself read permission, or copy the file.") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}.") from error


def make_folder(folder: Path) -> None:
    """Make a folder where it is missing. Raises OutputError when that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}. Choose another one.") from error


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; it takes the place of `path` at the end, or vanishes on any error.

    A link is followed, so that its target is replaced and the link stays. Raises OutputError when the folder is
    missing or not writable, the file is write-protected, exists while `overwrite` is false, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = _mode_of_target(target, overwrite)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".kidneyseg-", suffix=".part")
    except OSError as error:
        raise _output_error(error, target) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _output_error(error, target) from error
        raise
    _sync_folder(target.parent)


def _mode_of_target(target: Path, overwrite: bool) -> int:
    """Permission bits for the new file: those of the file it replaces, else what the user's umask gives."""
    if target.is_dir():
        raise OutputError(f"{target} is a folder. Add a file name.")
    if not target.exists():
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask
    if not overwrite:
        raise OutputError(f"{target.name} exists already. Choose another name, or allow it to be replaced.")
    with open(target, "r+b"):  # a rename would silently replace a write-protected file
        return stat.S_IMODE(target.stat().st_mode)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets folders be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _output_error(error: OSError, target: Path) -> OutputError:
    full = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
    if error.errno in full:
        return OutputError(f"{target.name} was not written: the disk is full. Free some space, or choose another disk.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{target} may not be written. Choose a folder that you have write permission for.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return OutputError(f"There is no folder {target.parent}. Create it, or choose another one.")
    return OutputError(f"{target.name} was not written: {error.strerror or error}. Choose another place or name.")
