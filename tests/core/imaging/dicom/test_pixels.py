"""Stored numbers become HU by their own format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicom_series import Frames, save, slices
from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom.assembly import read_frames
from kidneyseg.imaging.dicom.instances import FileSource, read_instance
from kidneyseg.imaging.dicom.pixels import PixelFormat, pixel_format, place, stored_numbers
from kidneyseg.imaging.dicom.slices import Slice, slices_of
from kidneyseg.progress import Progress

PLAIN = PixelFormat(2, 2, 16, 16, 15, signed=False, little=True, padding=None)


def one_slice(folder: Path, **values: object) -> Slice:
    made = slices(Frames(np.zeros((1, 8, 8), np.int16), np.eye(4)), **values)[0]
    path = save(made, folder / "one")
    instance = read_instance(FileSource(path, path.stat().st_size))
    assert instance is not None
    return slices_of(instance)[0]


@pytest.mark.parametrize(
    ("values", "slope", "intercept", "hu"),
    [
        ([0, 1, 1024, 4095], 1.0, -1024.0, [-1024, -1023, 0, 3071]),
        ([0, 1, 1024, 65535], 1.0, -1024.0, [-1024, -1023, 0, 32767]),  # limited
        ([0, 1, 1024, 33000], 1.0, -33000.0, [-32768, -32768, -31976, 0]),
        ([0, 1, 1024, 4095], 1.0, -1024.5, [-1024, -1024, 0, 3070]),  # halves to even
        ([0, 1, 2, 3], 0.5, 10.0, [10, 10, 11, 12]),
        ([40000, 40001, 40002, 40003], 1.0, -40000.0, [0, 1, 2, 3]),
    ],
)
def test_numbers_are_rescaled_and_limited(values: list[int], slope: float, intercept: float, hu: list[int]) -> None:
    plane = np.empty((2, 2), np.int16)
    lowest = place(np.array(values, np.uint16).reshape(2, 2), PLAIN, (slope, intercept), plane)
    assert plane.ravel().tolist() == hu
    assert lowest == hu[0]


def test_big_endian_8_and_32_bit_numbers() -> None:
    plane = np.empty((1, 2), np.int16)
    for allocated, little, data in (
        (16, False, b"\x04\x00\x00\x01"),
        (8, True, b"\x00\x01"),
        (32, True, b"\x00\x04\x00\x00\x01\x00\x00\x00"),
    ):
        how = PLAIN._replace(rows=1, allocated=allocated, stored=allocated, high=allocated - 1, little=little)
        numbers = stored_numbers(data, how)
        place(numbers, how, (1.0, -1.0), plane)
        assert plane[0].tolist() == ([-1, 0] if allocated == 8 else [1023, 0])


def test_bits_beside_the_number_are_no_part_of_it() -> None:
    how = PixelFormat(1, 2, 16, 12, 11, signed=True, little=True, padding=None)
    assert stored_numbers(np.array([0xAFFF, 0x5001], np.uint16).tobytes(), how)[0].tolist() == [-1, 1]
    high = how._replace(high=15)
    assert stored_numbers(np.array([0xFFF7, 0x0013], np.uint16).tobytes(), high)[0].tolist() == [-1, 1]


def test_a_frame_that_is_cut_off_is_named(tmp_path: Path) -> None:
    one = one_slice(tmp_path)
    path = tmp_path / "one"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match="Image 1 of the series is cut off"):
        list(read_frames([one], Progress()))
    path.unlink()
    with pytest.raises(InputError, match="Image 1 of the series is cut off"):
        list(read_frames([one], Progress()))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"SamplesPerPixel": 3}, "colour"),
        ({"BitsStored": 0}, None),
        ({"HighBit": 30}, None),
        ({"BitsStored": 17}, "of which 17 are used"),
    ],
)
def test_strange_formats_are_read_or_refused(tmp_path: Path, values: dict[str, object], words: str | None) -> None:
    one = one_slice(tmp_path, **values)
    if words is None:
        assert pixel_format(one.instance).stored == 16
    else:
        with pytest.raises(InputError, match=words):
            pixel_format(one.instance)
