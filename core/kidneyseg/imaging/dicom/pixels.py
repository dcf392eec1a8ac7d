"""The pixels of slices as HU, frame by frame."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom import tags
from kidneyseg.imaging.dicom.elements import PIXEL_DATA, UNDEFINED, Elements
from kidneyseg.imaging.dicom.instances import NATIVE, Instance
from kidneyseg.imaging.dicom.slices import Slice
from kidneyseg.imaging.intensities import AIR_HU

# A padding value among these would also be tissue: some writers state one that is none.
_TISSUE_HU = (-900, 3000)
_INT16 = np.iinfo(np.int16)


class PixelFormat(NamedTuple):
    """How the numbers of an instance's frames are stored."""

    rows: int
    columns: int
    allocated: int  #: bits of a pixel in the file
    stored: int  #: of those, the bits that hold the number
    high: int  #: the highest of these
    signed: bool
    little: bool
    padding: tuple[int, int] | None  #: smallest and largest stored number that is padding

    @property
    def frame_bytes(self) -> int:
        """Of one frame, uncompressed."""
        return self.rows * self.columns * self.allocated // 8


def image_name(instance: Instance) -> str:
    """An image in messages: by its number, as the names of files may hold the patient's, and messages are logged."""
    number = instance.elements.number(tags.INSTANCE_NUMBER)
    return "An image of the series" if number is None else f"Image {number:.0f} of the series"


def pixel_format(instance: Instance) -> PixelFormat:
    """The format that a header states. Raises InputError for one that no CT has."""
    elements, name = instance.elements, image_name(instance)
    rows, columns = elements.integer(tags.ROWS) or 0, elements.integer(tags.COLUMNS) or 0
    allocated = elements.integer(tags.BITS_ALLOCATED) or 16
    stored = elements.integer(tags.BITS_STORED) or allocated
    high = elements.integer(tags.HIGH_BIT)
    if (elements.integer(tags.SAMPLES_PER_PIXEL) or 1) != 1:
        raise InputError(f"{name} is a colour image, not a CT. Open the original CT, not a picture of it.")
    if rows < 1 or columns < 1:
        raise InputError(f"{name} does not say how many rows and columns it has. Export it again.")
    if allocated not in {8, 16, 32} or not 1 <= stored <= allocated or instance.pixels is None:
        raise InputError(f"{name} has pixels of {allocated} bits, of which {stored} are used. Export it with 16 bits.")
    if instance.pixels.tag != PIXEL_DATA:
        raise InputError(f"{name} has floating-point pixels, which no scanner writes. Export it with 16 bits.")
    high = stored - 1 if high is None or not stored - 1 <= high < allocated else high
    signed = elements.integer(tags.PIXEL_REPRESENTATION) == 1
    little = elements.coding.little
    return PixelFormat(rows, columns, allocated, stored, high, signed, little, _padding(elements, stored, signed))


def _padding(elements: Elements, stored: int, signed: bool) -> tuple[int, int] | None:
    ends = [elements.integer(tag) for tag in (tags.PIXEL_PADDING_VALUE, tags.PIXEL_PADDING_LIMIT)]
    if ends[0] is None:
        return None
    # Some headers state it with the wrong sign: 63536 for -2000.
    span, half = 1 << stored, 1 << (stored - 1)
    found = [end % span for end in ends if end is not None]
    if signed:
        found = [end - span if end >= half else end for end in found]
    return min(found), max(found)


def frame_at(file: BinaryIO, one: Slice, how: PixelFormat, buffer: bytearray) -> None:
    """Read an uncompressed frame into `buffer`. Raises InputError where the file ends within it."""
    pixels = one.instance.pixels
    assert pixels is not None
    start = (one.number - 1) * how.frame_bytes
    if pixels.length != UNDEFINED and start + how.frame_bytes > pixels.length + 1:
        raise cut_off(one.instance)
    file.seek(pixels.start + start)
    got, view = 0, memoryview(buffer)
    while got < how.frame_bytes and (count := file.readinto(view[got:])):  # type: ignore[attr-defined] # raw files have it
        got += count
    if got < how.frame_bytes:
        raise cut_off(one.instance)


def cut_off(instance: Instance) -> InputError:
    """What is said of a file that ends too early."""
    return InputError(f"{image_name(instance)} is cut off: it ends before its pixels do. Copy or download it again.")


def is_native(instance: Instance) -> bool:
    """Whether an instance's pixels are stored uncompressed."""
    return instance.syntax in NATIVE


def stored_numbers(data: bytes | bytearray | memoryview, how: PixelFormat) -> NDArray[np.integer]:
    """The stored numbers of a frame (rows, columns), a view of `data` where all bits are used."""
    kind = f"{'<' if how.little else '>'}{'i' if how.signed else 'u'}{how.allocated // 8}"
    raw = np.frombuffer(data, kind, how.rows * how.columns).reshape(how.rows, how.columns)
    if how.stored == how.allocated:
        return raw
    unused = how.allocated - how.high - 1  # bits above the number, which may hold an overlay
    native = raw.astype(raw.dtype.newbyteorder("="))
    np.left_shift(native, unused, out=native)
    np.right_shift(native, unused + how.high + 1 - how.stored, out=native)
    return native


def place(
    numbers: NDArray[np.integer], how: PixelFormat, rescale: tuple[float, float], plane: NDArray[np.int16]
) -> int:
    """Put a frame's HU into `plane` (rows, columns): rounded, limited to int16, padding as air.

    Returns:
        The lowest HU, padding included.
    """
    slope, intercept = rescale
    low, high = sorted(float(end) * slope + intercept for end in (numbers.min(), numbers.max()))
    if (
        slope == 1
        and intercept.is_integer()
        and low >= _INT16.min
        and high <= _INT16.max
        and numbers.dtype.itemsize == 2
    ):
        # Sums modulo 2^16 are right where the true ones fit, whatever the signs are.
        added = (int(intercept) - _INT16.min) % (1 << 16) + _INT16.min
        np.add(numbers.view(numbers.dtype.str.replace("u", "i")), np.int16(added), out=plane)
    else:
        scaled = numbers * np.float64(slope) + intercept
        plane[...] = np.rint(np.clip(scaled, _INT16.min, _INT16.max, out=scaled), out=scaled)
    if how.padding is not None:
        first, last = how.padding
        hu = first * slope + intercept
        if first != last or not _TISSUE_HU[0] < hu < _TISSUE_HU[1]:
            plane[(numbers >= first) & (numbers <= last)] = AIR_HU
    return round(max(low, _INT16.min))
