"""DICOM data elements: found in bytes in one pass, whatever these hold, and read as numbers and texts.

Why not pydicom.dcmread: its time and memory depend on what a file claims. Sequences of undefined length 50 deep in a
header of 9 MB take it many seconds, without a way to cancel, and a deflated object of 1.5 MB takes gigabytes. This
parser takes time in proportion to the bytes that it looks at, keeps no long or private values, and never raises for a
value: what cannot be read counts as missing. Speed is no reason: pydicom takes about twice the CPU time of usual
headers (docs/results.md).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import isfinite
from typing import BinaryIO, NamedTuple

UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
_PIXELS = (0x7FE00008, 0x7FE00009, PIXEL_DATA)
SHARED_GROUPS, PER_FRAME_GROUPS = 0x52009229, 0x52009230

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_WINDOW = 1 << 14  # most headers of a CT are shorter
_LARGEST_VALUE = 1 << 16
_LARGEST_GROUPS = 1 << 26  # the functional groups of thousands of frames
_MOST_ELEMENTS = 2_000_000  # in one walk: the functional groups of 10,000 frames
_MOST_AT_TOP = 20_000
_MOST_IN_ITEMS = 500_000  # of one sequence, without what is nested deeper
_LARGEST_HEADER = 1 << 22  # bytes of values that are kept, without functional groups
_DEEPEST = 64


class DamagedError(Exception):
    """The bytes end within an element, or are no data elements."""


class Element(NamedTuple):
    """Where a data element lies."""

    tag: int
    vr: bytes | None  #: None where the encoding does not state it
    start: int  #: of its value
    length: int  #: of its value, UNDEFINED where a delimiter ends it


class Window:
    """Random access to a file by a buffer that moves with it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._base = file, 0
        self._data = file.read(_WINDOW)

    def take(self, start: int, count: int) -> bytes:
        """Bytes from `start` on, fewer where the file ends."""
        first = start - self._base
        if first < 0 or first + count > len(self._data):
            self._file.seek(start)
            self._base, self._data, first = start, self._file.read(max(count, _WINDOW)), 0
        return self._data[first : first + count]


class _Bytes:
    """A value in memory, with the same access."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, start: int, count: int) -> bytes:
        return self._data[start : start + count]


class Coding(NamedTuple):
    """How a data set is written."""

    implicit: bool
    little: bool


class Elements:
    """The values of a data set that were kept, by tag: public ones of moderate length, in the order of the file."""

    def __init__(self, coding: Coding) -> None:
        self.coding = coding
        self.values: dict[int, tuple[bytes | None, bytes]] = {}
        self.size = 0  #: bytes of the values, without functional groups

    def __contains__(self, tag: int) -> bool:
        return bool(self.values.get(tag, (None, b""))[1])

    def text(self, tag: int) -> str:
        """The value as text without padding, "" where it is missing. Other than ASCII letters may be wrong."""
        return self.values.get(tag, (None, b""))[1].decode("latin-1").strip(" \0\t\r\n")

    def texts(self, tag: int) -> list[str]:
        """The parts of a value with several."""
        text = self.text(tag)
        return [part.strip() for part in text.split("\\")] if text else []

    def numbers(self, tag: int) -> list[float]:
        """The values of a DS or IS; [] where it is missing or one of them is no finite number."""
        try:
            found = [float(part) for part in self.texts(tag)]
        except ValueError:
            return []
        return found if all(isfinite(number) for number in found) else []

    def number(self, tag: int) -> float | None:
        """The first value of a DS or IS."""
        found = self.numbers(tag)
        return found[0] if found else None

    def integer(self, tag: int, *, signed: bool = False) -> int | None:
        """The first value of a US, SS, UL or SL."""
        vr, value = self.values.get(tag, (None, b""))
        if vr in {b"IS", b"DS"}:
            number = self.number(tag)
            return None if number is None else int(number)
        width = 4 if vr in {b"UL", b"SL"} else 2
        if len(value) < width:
            return None
        return int.from_bytes(
            value[:width], "little" if self.coding.little else "big", signed=signed or vr in {b"SS", b"SL"}
        )

    def items(self, tag: int) -> list[Elements]:
        """The items of a sequence; [] where it is missing or damaged."""
        value = self.values.get(tag, (None, b""))[1]
        try:
            return list(_items(value, self.coding)) if value else []
        except DamagedError:
            return []


def read_elements(window: Window, start: int, coding: Coding) -> tuple[Elements, Element | None]:
    """The data set that begins at `start`, up to its pixel data, and where these are; None if there are none.

    A data set that breaks off ends where it does.

    Raises:
        DamagedError: it has too many elements.
    """
    found, at = Elements(coding), start
    try:
        for _ in range(_MOST_AT_TOP):
            element = _element(window, at, coding)
            if element is None:
                return found, None
            if element.tag in _PIXELS:
                return found, element
            end = _end(window, element, coding)
            _keep(found, element, end, window)
            at = end if element.length != UNDEFINED else end + 8
    except DamagedError:
        return found, None
    raise DamagedError


def read_meta(window: Window, start: int) -> tuple[Elements, int]:
    """File meta information (group 2), which is always explicit little endian, and where it ends."""
    coding = Coding(implicit=False, little=True)
    found, at = Elements(coding), start
    for _ in range(_MOST_AT_TOP):
        element = _element(window, at, coding)
        if element is None or element.tag >> 16 != 2 or element.length == UNDEFINED:
            break
        _keep(found, element, element.start + element.length, window)
        at = element.start + element.length
    return found, at


def _keep(found: Elements, element: Element, end: int, source: Window | _Bytes) -> None:
    group = element.tag >> 16
    groups = element.tag in {SHARED_GROUPS, PER_FRAME_GROUPS}
    most = _LARGEST_GROUPS if groups else min(_LARGEST_VALUE, _LARGEST_HEADER - found.size)
    # Private elements, overlays and curves are not needed, and may hold anything.
    if group & 1 or 0x5000 <= group < 0x5100 or 0x6000 <= group < 0x6100 or end - element.start > most:
        return
    value = source.take(element.start, end - element.start)
    if len(value) == end - element.start:
        found.values[element.tag] = element.vr, value
        found.size += len(value) if not groups else 0


def _element(source: Window | _Bytes, at: int, coding: Coding) -> Element | None:
    """The element whose tag is at `at`; None where the data end."""
    head = source.take(at, 12)
    if len(head) < 8:
        return None
    order = "<" if coding.little else ">"
    group, number = struct.unpack_from(order + "HH", head)
    tag = group << 16 | number
    vr = head[4:6]
    if coding.implicit or group == 0xFFFE or not (vr.isalpha() and vr.isupper()):
        return Element(tag, None, at + 8, struct.unpack_from(order + "L", head, 4)[0])
    if vr not in _LONG_VRS:
        return Element(tag, vr, at + 8, struct.unpack_from(order + "H", head, 6)[0])
    if len(head) < 12:
        raise DamagedError
    return Element(tag, vr, at + 12, struct.unpack_from(order + "L", head, 8)[0])


def _end(source: Window | _Bytes, element: Element, coding: Coding) -> int:
    """Where an element's value ends. Of an undefined length that is where its delimiter begins."""
    if element.length != UNDEFINED:
        return element.start + element.length
    at, depth = element.start, [_SEQUENCE_END]
    for _ in range(_MOST_ELEMENTS):
        inner = _element(source, at, coding)
        if inner is None or len(depth) > _DEEPEST:
            raise DamagedError
        if inner.tag in {_ITEM_END, _SEQUENCE_END}:
            if depth.pop() != inner.tag:
                raise DamagedError
            if not depth:
                return at
            at = inner.start
        elif inner.length != UNDEFINED:
            at = inner.start + inner.length
        else:
            depth.append(_ITEM_END if inner.tag == _ITEM else _SEQUENCE_END)
            at = inner.start
    raise DamagedError


def _items(data: bytes, coding: Coding) -> Iterator[Elements]:
    source, at, left = _Bytes(data), 0, _MOST_IN_ITEMS
    while at < len(data):
        item, left = _element(source, at, coding), left - 1
        if item is None or item.tag != _ITEM:
            return
        found = Elements(coding)
        at, end = item.start, len(data) if item.length == UNDEFINED else item.start + item.length
        while at < end:
            element, left = _element(source, at, coding), left - 1
            if element is None or left < 0:
                raise DamagedError
            if element.tag == _ITEM_END:
                at = element.start
                break
            stop = _end(source, element, coding)
            _keep(found, element, stop, source)
            at = stop if element.length != UNDEFINED else stop + 8
        yield found
