"""Finds the DICOM objects of a folder, a disc, a zip or beside a file.

Nothing is unpacked to disk and no name inside an archive or a DICOMDIR is followed: the objects of a DICOMDIR are the
files that really lie in its folder.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom.elements import DamagedError, Elements
from kidneyseg.imaging.dicom.instances import FileSource, Instance, Source, largest_unpacked, read_instance
from kidneyseg.imaging.dicom.tags import MEDIA_DIRECTORY, SOP_CLASS_UID
from kidneyseg.progress import Progress

STAGE = "Looking for CT series"
_MOST_FILES = 100_000
_LARGEST_HEADERS = 1 << 29  # bytes of all that differ
_LARGEST_DIRECTORY = 1 << 24  # of a zip: 150,000 names
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_FAILURES = (OSError, DamagedError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)


class Found(NamedTuple):
    """What lies in one place."""

    instances: list[Instance]
    unreadable: int  #: DICOM objects that are damaged, encrypted or may not be read
    chosen: Instance | None  #: of a single file that was named: that one


class _Member(NamedTuple):
    """A member of a zip."""

    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    @property
    def name(self) -> str:
        return self.info.filename.rsplit("/", 1)[-1]

    @property
    def size(self) -> int:
        return self.info.file_size

    @property
    def folder(self) -> str:
        return self.info.filename.rpartition("/")[0]

    def open(self) -> BinaryIO:
        if self.info.file_size > largest_unpacked(self.info.compress_size):
            raise DamagedError
        return self.archive.open(self.info)  # type: ignore[return-value] # IO[bytes] that is a BinaryIO


def is_dicom(path: Path) -> bool:
    """Whether a path is to be read as DICOM: a folder, a zip, or a file that begins as DICOM does."""
    try:
        if path.is_dir():
            return True
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with open(path, "rb") as file:
            if file.read(4) in _ZIP_MAGICS:
                return True
        return read_instance(FileSource(path, path.stat().st_size)) is not None
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return False
    except DamagedError:
        return True


def holds_dicom(folder: Path, most: int = 64) -> bool:
    """Whether a folder seems to hold DICOM: one of its first `most` files is, or they are only a part of it."""
    return any(number == most or _try_reading(source) for number, source in enumerate(_files_below(folder)))


def find_instances(path: Path, progress: Progress) -> Found:
    """Read the headers of all DICOM objects in a folder with its subfolders, a disc, a zip, or beside a file.

    Args:
        path: a folder; a DICOMDIR, which stands for its folder; a zip; or a file, whose neighbours are looked at too.
        progress: can cancel.

    Raises:
        InputError: there is no such path, it may not be read, is no zip that can be read, or holds too many files.
        Cancelled: by `progress`.
    """
    try:
        if path.is_dir():
            return _read_all(_files_below(path), progress)
        with open(path, "rb") as file:
            magic = file.read(4)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}. Check the name and folder.") from error
    except OSError as error:
        raise InputError(f"{path.name} may not be read: {error.strerror}. Copy it to a folder of your own.") from error
    if magic in _ZIP_MAGICS:
        return _read_all(_members(path), progress)
    return _beside(path, progress)


def _beside(path: Path, progress: Progress) -> Found:
    """A named file, and those of its folder; of a DICOMDIR, all below it."""
    chosen = _try_reading(FileSource(path, path.stat().st_size))
    if not isinstance(chosen, Instance):
        raise InputError(f"{path.name} is damaged, or no DICOM file. Copy it again, or open the folder of the study.")
    if chosen.elements.text(SOP_CLASS_UID) == MEDIA_DIRECTORY:
        return _read_all(_files_below(path.parent), progress)
    others = _read_all((one for one in _files_in(path.parent) if one.name != path.name), progress)
    return Found([chosen, *others.instances], others.unreadable, chosen)


def _read_all(sources: Iterable[Source], progress: Progress) -> Found:
    listed: list[Source] = []
    for source in sources:
        listed.append(source)
        if len(listed) > _MOST_FILES:
            raise InputError(f"This holds more than {_MOST_FILES:,} files. Open the folder of one study.")
        if len(listed) % 256 == 0:
            progress.check()
    shared: dict[tuple[bytes | None, bytes], tuple[bytes | None, bytes]] = {}
    found, unreadable, size = [], 0, 0
    for number, source in enumerate(listed):
        if number % 32 == 0:
            progress.update(STAGE, number / len(listed))
        instance = _try_reading(source)
        if isinstance(instance, Instance):
            size += _share_values(instance.elements, shared)
            if size > _LARGEST_HEADERS:
                raise InputError("The headers of these files are too large for CTs. Open the folder of one study.")
            found.append(instance)
        else:
            unreadable += instance
    return Found(found, unreadable, None)


def _try_reading(source: Source) -> Instance | bool:
    """A DICOM object; else whether it seems to be one that cannot be read."""
    try:
        return read_instance(source) or False
    except _FAILURES:
        return True


def _share_values(elements: Elements, shared: dict[tuple[bytes | None, bytes], tuple[bytes | None, bytes]]) -> int:
    """Keep equal values once: most are those of the whole study. Returns the bytes of new ones."""
    new = 0
    for tag, value in elements.values.items():
        known = shared.get(value)
        if known is None:
            known = shared[value] = value
            new += len(value[1])
        elements.values[tag] = known
    return new


def _files_below(folder: Path) -> Iterator[FileSource]:
    """All files of a folder and its subfolders; links to folders are not followed."""
    yield from _files_in(folder)
    for parent, folders, _names in os.walk(folder):
        links = {name for name in folders if os.path.islink(os.path.join(parent, name))}
        folders[:] = sorted(name for name in folders if name not in links and not name.startswith("."))
        for name in folders:
            with suppress(OSError):
                yield from _files_in(Path(parent, name))


def _files_in(folder: Path) -> Iterator[FileSource]:
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        try:
            about = entry.stat()
        except OSError:  # a broken link
            continue
        if stat.S_ISREG(about.st_mode) and about.st_size and not entry.name.startswith("."):
            yield FileSource(Path(entry.path), about.st_size)


def _members(path: Path) -> Iterator[Source]:
    try:
        if _directory_size(path) > _LARGEST_DIRECTORY:
            raise InputError(f"{path.name} lists too many files. Unpack it, and open the folder of one study.")
        archive = zipfile.ZipFile(path)
    except (OSError, *_FAILURES[2:], ValueError) as error:
        raise InputError(f"{path.name} is damaged: it cannot be read as a zip. Copy or download it again.") from error
    members = [info for info in archive.infolist() if not info.is_dir()]
    if members and all(info.flag_bits & 1 for info in members):
        raise InputError(f"{path.name} is encrypted. Unpack it with its password, and open the folder.")
    return (_Member(archive, info) for info in members if info.file_size)


def _directory_size(path: Path) -> int:
    """The bytes of a zip's central directory, before zipfile reads all of it; 0 where it has none."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 16) - 22 - 20))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) < at + 22:
            return 0
        stated: int = struct.unpack_from("<L", tail, at + 12)[0]
        if at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07":
            file.seek(min(size, struct.unpack_from("<Q", tail, at - 12)[0]))
            record = file.read(48)
            if len(record) == 48:
                stated = max(stated if stated != 0xFFFFFFFF else 0, struct.unpack_from("<Q", record, 40)[0])
        return stated
