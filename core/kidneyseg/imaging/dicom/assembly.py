"""Fills a volume with the frames of a stack, one at a time: placed as they are, blended between, or sheared."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby, pairwise
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom import tags
from kidneyseg.imaging.dicom.decoding import DecoderPool, Job, compressed_frames
from kidneyseg.imaging.dicom.elements import DamagedError
from kidneyseg.imaging.dicom.instances import largest_unpacked
from kidneyseg.imaging.dicom.pixels import (
    PixelFormat,
    cut_off,
    frame_at,
    image_name,
    is_native,
    pixel_format,
    place,
    stored_numbers,
)
from kidneyseg.imaging.dicom.slices import Slice
from kidneyseg.imaging.dicom.stack import Stack
from kidneyseg.imaging.intensities import AIR_HU
from kidneyseg.progress import Progress

_FAILURES = (OSError, EOFError, DamagedError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
_CHECK_EVERY = 8


class StoredFrame(NamedTuple):
    """The stored numbers of a slice, and how they become HU."""

    numbers: NDArray[np.integer]
    how: PixelFormat
    rescale: tuple[float, float]


def fill(grid: NDArray[np.int16], stack: Stack, progress: Progress) -> int:
    """Fill a grid with HU.

    Args:
        grid: int16 (columns, rows, planes), written to.
        stack: its slices.
        progress: reported to, and can cancel.

    Returns:
        The lowest HU of the slices.

    Raises:
        InputError: a slice is damaged, cut off or of a format that no CT has, or two in one place are different.
        Cancelled: by `progress`.
    """
    _check_copies(stack, progress)
    lowest, filled = int(np.iinfo(np.int16).max), _Planes(grid, stack)
    direct = not (stack.tilted or stack.resampled)
    for index, frame in enumerate(read_frames(stack.slices, progress)):
        if index % _CHECK_EVERY == 0:
            progress.update("Reading slices", index / len(stack.slices))
        plane = grid[:, :, index].T if direct else np.empty(frame.numbers.shape, np.int16)
        lowest = min(lowest, place(frame.numbers, frame.how, frame.rescale, plane))
        if not direct:
            filled.add(index, plane)
    return lowest


def _check_copies(stack: Stack, progress: Progress) -> None:
    """Raise InputError where two slices in one place show different things: which of them is right is unknown."""
    taken: StoredFrame | None = None
    flat = [one for pair in stack.copies for one in pair]
    for one, frame in zip(flat, read_frames(flat, progress), strict=True):
        if taken is None:
            taken = frame._replace(numbers=frame.numbers.copy())
            continue
        if frame.rescale != taken.rescale or not np.array_equal(frame.numbers, taken.numbers):
            raise InputError(
                f"{image_name(one.instance)} and another are two different slices in one place. "
                "Export one reconstruction as a series."
            )
        taken = None


class _Planes:
    """Puts slices that come in order onto planes that lie between them."""

    def __init__(self, grid: NDArray[np.int16], stack: Stack) -> None:
        self._grid, self._stack = grid, stack
        self._before: NDArray[np.int16] | None = None
        self._next = 0

    def add(self, index: int, pixels: NDArray[np.int16]) -> None:
        """Take slice `index` (rows, columns), and fill all planes up to it."""
        plane = self._at_right_angles(index, pixels)
        where = self._stack.planes
        while self._next < len(where) and where[self._next] <= index:
            share = index - where[self._next]  # of the slice before
            target = self._grid[:, :, self._next].T
            if share == 0 or self._before is None:
                target[...] = plane
            else:
                target[...] = _blend(plane, self._before, share)
            self._next += 1
        self._before = plane

    def _at_right_angles(self, index: int, pixels: NDArray[np.int16]) -> NDArray[np.int16]:
        """A slice (rows, columns) of the stack on the grid's rows and columns, with air around it."""
        if not self._stack.tilted:
            return pixels
        column, row = self._stack.corners[index]
        wide = np.full((self._grid.shape[1] + 1, self._grid.shape[0] + 1), AIR_HU, np.int16)
        first_row, first_column = int(row), int(column)
        wide[first_row : first_row + pixels.shape[0], first_column : first_column + pixels.shape[1]] = pixels
        if share := row - first_row:
            wide[1:] = _blend(wide[1:], wide[:-1], share)
        if share := column - first_column:
            wide[:, 1:] = _blend(wide[:, 1:], wide[:, :-1], share)
        return wide[: self._grid.shape[1], : self._grid.shape[0]]


def _blend(one: NDArray[np.int16], other: NDArray[np.int16], share: float) -> NDArray[np.int16]:
    """`share` of `other` and the rest of `one`, rounded."""
    mixed = one * np.float32(1 - share)
    mixed += other * np.float32(share)
    rounded: NDArray[np.int16] = np.rint(mixed, out=mixed).astype(np.int16)
    return rounded


def read_frames(chosen: Sequence[Slice], progress: Progress) -> Iterator[StoredFrame]:
    """The stored numbers of slices of one size, in order; each is valid until the next one.

    Raises:
        InputError: as for `fill`.
        Cancelled: by `progress`.
    """
    formats: dict[int, PixelFormat] = {}
    for one in chosen:
        key = id(one.instance)
        if key not in formats:
            formats[key] = pixel_format(one.instance)
    with ExitStack() as opened:
        pool = opened.enter_context(DecoderPool(progress))
        for native, run in groupby(chosen, key=lambda one: is_native(one.instance)):
            slices = list(run)
            numbers = _native(slices, formats) if native else pool.decode(_compressed(slices, formats))
            for one, found in zip(slices, numbers, strict=True):
                yield StoredFrame(found, formats[id(one.instance)], one.rescale or (1.0, 0.0))


def _native(slices: list[Slice], formats: dict[int, PixelFormat]) -> Iterator[NDArray[np.integer]]:
    buffer = bytearray()
    for _, run in groupby(slices, key=lambda one: id(one.instance)):
        of_instance = list(run)
        instance, how = of_instance[0].instance, formats[id(of_instance[0].instance)]
        if len(buffer) != how.frame_bytes:
            if how.frame_bytes > largest_unpacked(instance.source.size):
                raise cut_off(instance)
            buffer = bytearray(how.frame_bytes)
        try:
            with _ready(instance.open(), of_instance) as file:
                for one in of_instance:
                    frame_at(file, one, how, buffer)
                    yield stored_numbers(buffer, how)
        except _FAILURES as error:
            raise cut_off(instance) from error


def _ready(file: BinaryIO, frames: list[Slice]) -> BinaryIO:
    """An instance's file to read these frames from. A member of a zip unpacks from its start for each step back."""
    backwards = any(later.number < one.number for one, later in pairwise(frames))
    if not (backwards and isinstance(file, zipfile.ZipExtFile)):
        return file
    with file:
        return io.BytesIO(file.read())


def _compressed(slices: list[Slice], formats: dict[int, PixelFormat]) -> Iterator[Job]:
    for _, run in groupby(slices, key=lambda one: id(one.instance)):
        of_instance = list(run)
        instance = of_instance[0].instance
        count = max(1, int(instance.elements.number(tags.NUMBER_OF_FRAMES) or 1))
        try:
            with instance.open() as file:
                frames = compressed_frames(file, instance, count)
        except _FAILURES as error:
            raise cut_off(instance) from error
        for one in of_instance:
            yield Job(one, formats[id(instance)], frames[one.number - 1])
