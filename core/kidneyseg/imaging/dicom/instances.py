"""One DICOM file or zip member: its header, and where its pixel data lie."""

from __future__ import annotations

import io
import os
import stat
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from kidneyseg.imaging.dicom.elements import Coding, DamagedError, Element, Elements, Window, read_elements, read_meta
from kidneyseg.imaging.dicom.tags import SOP_CLASS_UID

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
NATIVE = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG)

_MEDIA_STORAGE_SOP_CLASS_UID, _TRANSFER_SYNTAX = 0x00020002, 0x00020010
_PREAMBLE, _PREFIX = 128, b"DICM"
_LARGEST_INFLATED = 1 << 29


class Source(Protocol):
    """Where an instance is: a file, or a member of a zip."""

    @property
    def name(self) -> str:
        """Its name without a folder, for messages."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def folder(self) -> str:
        """Where it lies, to tell apart what names no series."""

    def open(self) -> BinaryIO:
        """A file to read and seek in. Raises OSError."""


class FileSource(NamedTuple):
    """A file in a folder."""

    path: Path
    size: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def folder(self) -> str:
        """Its folder."""
        return str(self.path.parent)

    def open(self) -> BinaryIO:
        """The file, unless it is no regular one (a pipe would never end), or has grown since it was found."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_size > self.size:
            os.close(descriptor)
            raise OSError("no regular file, or another one than was found")
        return os.fdopen(descriptor, "rb", buffering=0)


class Instance(NamedTuple):
    """A DICOM object that was looked at."""

    source: Source
    elements: Elements
    syntax: str  #: transfer syntax UID
    pixels: Element | None  #: where its pixel data are; None if it has none

    def open(self) -> BinaryIO:
        """The bytes that `pixels` points into. Raises OSError, or DamagedError for data that do not inflate."""
        file = self.source.open()
        if self.syntax != DEFLATED:
            return file
        with file:
            return _inflated(file)


def read_instance(source: Source) -> Instance | None:
    """Read a header up to the pixel data; None where the file is no DICOM.

    Raises:
        OSError: it cannot be read.
        DamagedError: it is DICOM, and damaged so that nothing of it can be used.
    """
    with source.open() as file:
        window = Window(file)
        found = _meta(window)
        if found is None:
            return None
        (meta, start), prefixed = found, window.take(_PREAMBLE, 4) == _PREFIX
        syntax = meta.text(_TRANSFER_SYNTAX)
        if syntax == DEFLATED:
            file.seek(start)
            window, start = Window(_inflated(file)), 0
        coding = _coding(window.take(start, 6), syntax)
        elements, pixels = read_elements(window, start, coding)
        if not syntax:
            syntax = IMPLICIT_LITTLE if coding.implicit else EXPLICIT_LITTLE if coding.little else EXPLICIT_BIG
        if SOP_CLASS_UID not in elements and (stored := meta.values.get(_MEDIA_STORAGE_SOP_CLASS_UID)):
            elements.values[SOP_CLASS_UID] = stored
        return Instance(source, elements, syntax, pixels) if elements.values or prefixed else None


def _meta(window: Window) -> tuple[Elements, int] | None:
    """The file meta information, which some writers leave out, and where the data set begins."""
    head = window.take(0, _PREAMBLE + 4)
    if head[_PREAMBLE:] == _PREFIX:
        return read_meta(window, _PREAMBLE + 4)
    group, element = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    if group == 2 and head[4:6].isalpha():
        return read_meta(window, 0)
    if (group == 8 and element <= 0x0100) or (head[:2] == b"\0\x08" and head[2:3] == b"\0" and head[4:6].isalpha()):
        return read_meta(window, 0)
    return None


def _coding(head: bytes, syntax: str) -> Coding:
    """How the data set is written, by its first element: some transfer syntaxes lie."""
    little = syntax != EXPLICIT_BIG
    if len(head) == 6:
        little = int.from_bytes(head[:2], "little") <= int.from_bytes(head[:2], "big")
    vr = head[4:6]
    return Coding(implicit=not (vr.isalpha() and vr.isupper()), little=little)


def _inflated(file: BinaryIO) -> BinaryIO:
    """The rest of a deflated file; a start of a Part 10 file is skipped."""
    start = file.tell()
    if start == 0:
        found = _meta(Window(file))
        start = 0 if found is None else found[1]
        file.seek(start)
    packed = file.read()
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(packed, largest_unpacked(len(packed)))
    except zlib.error as error:
        raise DamagedError from error
    if unpacker.unconsumed_tail or not unpacker.eof:  # too much, or cut off
        raise DamagedError
    return io.BytesIO(content)


def largest_unpacked(packed: int) -> int:
    """How many bytes a packed object may hold: CTs shrink to a half, and empty images to a two-hundredth."""
    return min(_LARGEST_INFLATED, max(1 << 24, 250 * packed))
