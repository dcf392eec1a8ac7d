"""A pool of large buffers, and the errors that mean that memory ran out.

The C library returns a large block to the system as soon as it is freed. Clearing fresh pages for the next one takes as
long as a BatchNorm, so freed blocks are kept and reused.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Floats

SHORTAGE = "not enough memory for a sparse convolution; use a coarser lattice or fewer points"

_LARGE = 1 << 20  # floats; the C library keeps smaller blocks from the first pass on, larger ones from the third
_MAX_IDLE = 1 << 28  # floats, 1 GiB
_ALIGNMENT = 16  # floats; results that bypass the caches must begin at a multiple of 64 bytes

_idle: dict[int, list[Floats]] = defaultdict(list)  # free blocks by their number of floats


class GpuMemoryError(MemoryError):
    """A GPU ran out of memory. What the failed run held there has been freed."""


class _PooledBuffer(np.ndarray[tuple[int], np.dtype[np.float32]]):
    """A view of a block. An array made from it keeps it alive; when it dies, the block returns to the pool."""


def empty(rows: int, channels: int) -> Floats:
    """float32 (rows, channels), contiguous, aligned, not initialised; from the pool where it is large."""
    count = rows * channels
    if count < _LARGE:
        return _aligned(count).reshape(rows, channels)
    step = 1 << (count.bit_length() - 4)  # few distinct sizes, so that similar requests share blocks
    size = -(-count // step) * step
    block = _idle[size].pop() if _idle[size] else _aligned(size)
    buffer = block.view(_PooledBuffer)
    weakref.finalize(buffer, _return_to_pool, block).atexit = False
    return buffer[:count].view(np.ndarray).reshape(rows, channels)


def release() -> None:
    """Free the pool's idle blocks."""
    _idle.clear()


def address(x: NDArray[Any]) -> int:
    """Where an array begins."""
    begin: int = x.__array_interface__["data"][0]  # `x.ctypes.data` takes three times as long
    return begin


def _aligned(count: int) -> Floats:
    block = np.empty(count + _ALIGNMENT, np.float32)
    start = -address(block) // 4 % _ALIGNMENT
    return block[start : start + count]


def _return_to_pool(block: Floats) -> None:
    if sum(size * len(blocks) for size, blocks in _idle.items()) + len(block) <= _MAX_IDLE:
        _idle[len(block)].append(block)


def check(failed: bool | int) -> None:
    """Raise MemoryError if `failed`: the native kernels return nonzero when memory runs out."""
    if failed:
        raise MemoryError(SHORTAGE)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Replace the RuntimeError of torch's CPU allocator by a MemoryError that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if _of_gpu(error) or not out_of_memory(error):
            raise
        raise MemoryError(SHORTAGE) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether Python, the GPU or torch's CPU allocator ran out of memory."""
    if isinstance(error, MemoryError) or _of_gpu(error):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _of_gpu(error: BaseException) -> bool:
    """Whether it is `torch.OutOfMemoryError`, told by its name, since torch need not be imported."""
    return isinstance(error, RuntimeError) and type(error).__name__ == "OutOfMemoryError"
