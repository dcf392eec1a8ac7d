"""Compressed frames, decoded in processes of their own.

The decoders are C and C++ libraries. What a damaged or hostile frame does to one of them (a crash, endless work, all
memory) ends its process and becomes a sentence. Several processes also decode several frames at a time.
"""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from types import TracebackType
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom import tags
from kidneyseg.imaging.dicom.elements import UNDEFINED
from kidneyseg.imaging.dicom.instances import Instance
from kidneyseg.imaging.dicom.pixels import PixelFormat, cut_off, image_name
from kidneyseg.imaging.dicom.slices import Slice
from kidneyseg.progress import Progress

# How a process is asked to decode; `kidneyseg.cli.main` knows it.
_COMMAND = "decode-frames"
_PATIENCE_S = 60.0  # for one frame
_POLL_S = 0.2
_MOST_PROCESSES = 8
_ITEM = b"\xfe\xff\x00\xe0"
_MOST_FRAGMENTS = 1_000_000


class Job(NamedTuple):
    """A frame to decode."""

    one: Slice
    how: PixelFormat
    data: bytes


class DecoderPool:
    """Processes that decode frames. As a context manager it ends them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._processes:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            process.wait()

    def decode(self, jobs: Iterable[Job]) -> Iterator[NDArray[np.integer]]:
        """The stored numbers of frames (rows, columns), in order.

        Raises:
            InputError: a frame cannot be decoded.
            Cancelled: by the progress.
        """
        waiting: deque[tuple[subprocess.Popen[bytes], Job]] = deque()
        idle: list[subprocess.Popen[bytes]] = []
        for job in jobs:
            if not idle and len(waiting) == process_count():
                process, earlier = waiting.popleft()
                numbers = self._receive(process, earlier)
                idle.append(process)
            else:
                numbers = None
            process = idle.pop() if idle else self._start()
            _send(process, job)
            waiting.append((process, job))
            if numbers is not None:
                yield numbers
        for process, job in waiting:
            yield self._receive(process, job)

    def _start(self) -> subprocess.Popen[bytes]:
        # No module is taken from the working folder, which may be the study's.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "kidneyseg", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
        )
        self._processes.append(process)
        return process

    def _receive(self, process: subprocess.Popen[bytes], job: Job) -> NDArray[np.integer]:
        assert process.stdout is not None
        kind, length = struct.unpack("<4sL", self._read(process.stdout.fileno(), 8, job))
        content = self._read(process.stdout.fileno(), length, job)
        if kind == b"fail":
            raise _undecodable(job)
        numbers = np.frombuffer(content, kind.strip().decode())
        if numbers.size != job.how.rows * job.how.columns:
            raise _undecodable(job)
        return _only_stored_bits(numbers.reshape(job.how.rows, job.how.columns), job.how)

    def _read(self, descriptor: int, length: int, job: Job) -> bytearray:
        content, got, ends = bytearray(length), 0, time.monotonic() + _PATIENCE_S
        while got < length:
            if select.select([descriptor], [], [], _POLL_S)[0]:
                count = os.readv(descriptor, [memoryview(content)[got:]])
                if count == 0:  # the decoder has crashed
                    raise _undecodable(job)
                got += count
            elif time.monotonic() > ends:
                raise _undecodable(job)
            self._progress.check()
        return content


def process_count() -> int:
    """How many processes decode at a time."""
    return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)


def _send(process: subprocess.Popen[bytes], job: Job) -> None:
    how = job.how
    facts = {
        "syntax": job.one.instance.syntax,
        "rows": how.rows,
        "columns": how.columns,
        "allocated": how.allocated,
        "stored": how.stored,
        "signed": how.signed,
        "photometric": job.one.instance.elements.text(tags.PHOTOMETRIC_INTERPRETATION) or "MONOCHROME2",
    }
    head = json.dumps(facts).encode()
    assert process.stdin is not None
    try:
        for part in (struct.pack("<LL", len(head), len(job.data)), head, job.data):
            left = memoryview(part)
            while left:
                left = left[process.stdin.write(left) :]
    except BrokenPipeError:
        raise _undecodable(job) from None


def _only_stored_bits(numbers: NDArray[np.integer], how: PixelFormat) -> NDArray[np.integer]:
    """Decoders differ in what they leave above the stored bits, and in the sign."""
    kind = f"{'i' if how.signed else 'u'}{numbers.dtype.itemsize}"
    shift = numbers.dtype.itemsize * 8 - how.stored
    signed = numbers.view(kind)
    return signed if shift <= 0 else np.right_shift(np.left_shift(signed, shift), shift)


def _undecodable(job: Job) -> InputError:
    return InputError(
        f"{image_name(job.one.instance)} has compressed pixels that are damaged or of a kind that is not known "
        f"({job.one.instance.syntax}). Export the series uncompressed."
    )


def compressed_frames(file: BinaryIO, instance: Instance, count: int) -> list[bytes]:
    """The encoded bytes of each of an instance's `count` frames. Raises InputError where they cannot be told apart."""
    name, pixels = image_name(instance), instance.pixels
    assert pixels is not None
    if pixels.length != UNDEFINED:
        raise InputError(f"{name} has compressed pixels without fragments. Export it again.")
    fragments, offsets, at = [], [], pixels.start
    file.seek(at)
    for _ in range(_MOST_FRAGMENTS):
        head = file.read(8)
        if len(head) < 8 or head[:4] != _ITEM:
            break
        length = int.from_bytes(head[4:], "little")
        fragment = file.read(length) if length <= instance.source.size else b""
        if len(fragment) < length:
            raise cut_off(instance)
        offsets.append(at)
        fragments.append(fragment)
        at += 8 + length
    if len(fragments) < count + 1:
        raise cut_off(instance)
    table, fragments, offsets = fragments[0], fragments[1:], [start - offsets[1] for start in offsets[1:]]
    if count == 1:
        return [b"".join(fragments)]
    if len(fragments) == count:
        return fragments
    starts = [int.from_bytes(table[i : i + 4], "little") for i in range(0, len(table) - 3, 4)]
    place = {start: index for index, start in enumerate(offsets)}
    if len(starts) != count or not place.keys() >= set(starts):
        raise InputError(f"{name} does not say where its {count} compressed frames begin. Export it uncompressed.")
    firsts = [place[start] for start in starts] + [len(fragments)]
    return [b"".join(fragments[first:end]) for first, end in pairwise(firsts)]
