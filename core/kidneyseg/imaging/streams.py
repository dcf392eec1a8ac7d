"""Sequential reading of files, decompressed if they are gzip."""

from __future__ import annotations

import os
import stat
from io import FileIO
from pathlib import Path
from types import TracebackType

from isal import isal_zlib
from isal.igzip_lib import IsalError

from kidneyseg.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 18  # compressed bytes; unused input is copied, so larger chunks are slower
_DEFLATE_MAX_RATIO = 1032  # no deflate stream unpacks to more than this many times its size
_SURPLUS = 16 << 20  # bytes after the voxels that are still unpacked to reach gzip's checksum


class InputStream:
    """Sequential read access to a file, decompressed if it is gzip (recognised by content, not by name).

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
        """The content's length, or for gzip an upper bound of it, known without reading."""
        return self.size * _DEFLATE_MAX_RATIO if self.packed else self.size

    def read(self, length: int) -> bytearray:
        """The next `length` bytes. Raises InputError when there are fewer, or when they are damaged."""
        content = self._read(length)
        if len(content) < length:
            raise self._cut_off()
        return content

    def peek_header(self, length: int) -> bytearray:
        """Up to `length` bytes, fewer at the file's end; for recognising the file's type."""
        return self._read(length)

    def skip(self, length: int) -> None:
        """Skip `length` bytes (a header's extensions)."""
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
