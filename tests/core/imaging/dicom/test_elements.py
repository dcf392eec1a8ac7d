"""Data elements are found in any encoding, and what is damaged takes neither time nor memory."""

from __future__ import annotations

import io
import struct
import time

import pytest

from kidneyseg.imaging.dicom.elements import (
    PER_FRAME_GROUPS,
    Coding,
    DamagedError,
    Elements,
    Window,
    read_elements,
    read_meta,
)

EXPLICIT, IMPLICIT, BIG = Coding(False, True), Coding(True, True), Coding(False, False)
ROWS, MANUFACTURER, POSITION = 0x00280010, 0x00080070, 0x00200032


def element(tag: int, vr: bytes, value: bytes, coding: Coding = EXPLICIT, length: int | None = None) -> bytes:
    order = "<" if coding.little else ">"
    length = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if coding.implicit:
        return head + struct.pack(order + "L", length) + value
    if vr in (b"SQ", b"OB", b"UN", b"OW"):
        return head + vr + b"\0\0" + struct.pack(order + "L", length) + value
    return head + vr + struct.pack(order + "H", length) + value


def read(data: bytes, coding: Coding = EXPLICIT) -> Elements:
    return read_elements(Window(io.BytesIO(data)), 0, coding)[0]


@pytest.mark.parametrize("coding", [EXPLICIT, IMPLICIT, BIG], ids=["explicit", "implicit", "big endian"])
def test_values_are_read_in_each_encoding(coding: Coding) -> None:
    number = struct.pack("<H" if coding.little else ">H", 512)
    data = element(MANUFACTURER, b"LO", b"Maker ", coding) + element(POSITION, b"DS", b"-1.5\\2\\3e1", coding)
    found = read(data + element(ROWS, b"US", number, coding) + element(0x7FE00010, b"OW", b"xx", coding), coding)
    assert found.text(MANUFACTURER) == "Maker"
    assert found.numbers(POSITION) == [-1.5, 2, 30]
    assert found.integer(ROWS) == 512
    assert 0x7FE00010 not in found.values


def test_pixel_data_are_found_and_not_read() -> None:
    data = element(ROWS, b"US", b"\1\0") + element(0x7FE00010, b"OW", b"", length=1 << 30)
    _, pixels = read_elements(Window(io.BytesIO(data)), 0, EXPLICIT)
    assert pixels is not None
    assert (pixels.start, pixels.length) == (len(data), 1 << 30)


def test_private_overlay_and_long_values_are_not_kept() -> None:
    data = (
        element(0x00091010, b"UN", b"x" * 50)
        + element(0x60003000, b"OW", b"x" * 50)
        + element(0x00081080, b"UN", b"x" * 70_000)
        + element(MANUFACTURER, b"LO", b"Maker ")
    )
    assert list(read(data).values) == [MANUFACTURER]


def test_a_value_longer_than_the_file_is_skipped_without_memory() -> None:
    data = element(MANUFACTURER, b"LO", b"Maker ") + element(0x00091010, b"OB", b"x", length=0xFFFFFFF0)
    assert read(data).text(MANUFACTURER) == "Maker"


def test_sequences_of_either_length_are_skipped_and_read() -> None:
    inner = element(POSITION, b"DS", b"1\\2\\3 ")
    items = {
        "defined": element(0xFFFEE000, b"", inner, IMPLICIT),
        "undefined": element(0xFFFEE000, b"", inner, IMPLICIT, 0xFFFFFFFF) + element(0xFFFEE00D, b"", b"", IMPLICIT),
    }
    end = element(0xFFFEE0DD, b"", b"", IMPLICIT)
    for item in items.values():
        for sequence in (
            element(PER_FRAME_GROUPS, b"SQ", item * 2),
            element(PER_FRAME_GROUPS, b"SQ", item * 2 + end, length=0xFFFFFFFF),
        ):
            found = read(sequence + element(0x52FF0010, b"LO", b"x ") + element(0x54000010, b"LO", b"after "))
            assert [one.numbers(POSITION) for one in found.items(PER_FRAME_GROUPS)] == [[1, 2, 3]] * 2
            assert found.text(0x54000010) == "after"


def test_values_that_are_no_numbers_count_as_missing() -> None:
    for text in (b"NaN ", b"inf ", b"1e999 ", b"abc ", b"1\\x ", b"\xff\xfe"):
        found = read(element(POSITION, b"DS", text))
        assert found.numbers(POSITION) == []
        assert found.number(POSITION) is None
    assert read(element(ROWS, b"US", b"\1")).integer(ROWS) is None
    assert read(element(ROWS, b"IS", b"12")).integer(ROWS) == 12


def test_deep_nesting_and_many_elements_end_soon() -> None:
    began = time.process_time()
    deep = (
        element(0x00081140, b"SQ", b"", length=0xFFFFFFFF) + element(0xFFFEE000, b"", b"", IMPLICIT, 0xFFFFFFFF)
    ) * 100_000
    assert not read(deep).values
    with pytest.raises(DamagedError):
        read(element(0x00091010, b"LO", b"") * 100_000)
    assert time.process_time() - began < 5


def test_meta_information_ends_with_its_group() -> None:
    data = element(0x00020010, b"UI", b"1.2.840\0") + element(MANUFACTURER, b"LO", b"Maker ")
    meta, end = read_meta(Window(io.BytesIO(data)), 0)
    assert meta.text(0x00020010) == "1.2.840"
    assert data[end:] == element(MANUFACTURER, b"LO", b"Maker ")


def test_long_headers_and_sequences_are_kept_in_part() -> None:
    """Else thousands of values of moderate length would add up."""
    found = read(b"".join(element(0x00180000 + 2 * n, b"UN", b"x" * 60_000) for n in range(1, 200)))
    assert sum(len(value) for _, value in found.values.values()) <= 1 << 22
    item = element(0xFFFEE000, b"", element(MANUFACTURER, b"LO", b"") * 600_000, IMPLICIT)
    assert read(element(PER_FRAME_GROUPS, b"SQ", item)).items(PER_FRAME_GROUPS) == []
