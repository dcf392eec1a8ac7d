"""Which voxels of a mask were made by hand, as text in its sidecar: compressed runs along x."""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import bounding_box
from kidneyseg.errors import InputError
from kidneyseg.imaging.labels import CYST
from kidneyseg.runs import expanded

_RUN = np.dtype([("start", "<u4"), ("length", "<u4"), ("mark", "u1")])
# More runs than this, as noise gives, are not kept, and not read: a 512 x 512 CT of 600 slices has 307,200 rows.
MOST_RUNS = 4_000_000


def encoded(marks: NDArray[np.uint8]) -> str:
    """The marks of a mask as text; "" where there are none, or too many runs.

    Args:
        marks: uint8 (X, Y, Z), 0 where a label is the networks' and otherwise 1 + the networks' label below it.
    """
    box = bounding_box(marks)
    if box is None:
        return ""
    plane = marks.shape[0] * marks.shape[1]
    parts = []
    for k in range(box[2].start, box[2].stop):
        flat = marks[:, :, k].ravel(order="F")
        first = np.flatnonzero(np.append(True, flat[1:] != flat[:-1]))
        runs = np.zeros(len(first), _RUN)
        runs["start"], runs["length"] = first + k * plane, np.diff(np.append(first, plane))
        runs["mark"] = flat[first]
        parts.append(runs[runs["mark"] > 0])
    runs = np.concatenate(parts)
    return "" if len(runs) > MOST_RUNS else base64.b64encode(zlib.compress(runs.tobytes(), 6)).decode()


def decoded(text: str, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The marks that `encoded` wrote, uint8 (X, Y, Z), x fastest in memory.

    Raises:
        InputError: the text is damaged, or of a mask of another shape.
    """
    try:
        reader = zlib.decompressobj()
        runs = np.frombuffer(reader.decompress(base64.b64decode(text, validate=True), MOST_RUNS * _RUN.itemsize), _RUN)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise InputError("which voxels were made by hand cannot be read") from error
    marks = np.zeros(shape, np.uint8, order="F")
    start, length = runs["start"].astype(np.int64), runs["length"].astype(np.int64)
    ends = start + length
    known = (runs["mark"] > 0).all() and (runs["mark"] <= 1 + CYST).all() and reader.eof
    if not known or (length == 0).any() or (start[1:] < ends[:-1]).any() or (ends[-1:] > marks.size).any():
        raise InputError("which voxels were made by hand cannot be read")
    marks.reshape(-1, order="F")[expanded(start, length).astype(np.intp)] = np.repeat(runs["mark"], length)
    return marks
