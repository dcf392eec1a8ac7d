"""A pool of large CPU buffers, and the errors that mean that memory ran out.

The C library returns a large block to the system as soon as it is freed. Clearing fresh pages for the next one takes as
long as a BatchNorm, so freed blocks are kept and reused.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

SHORTAGE = "not enough memory for a sparse convolution; use a coarser lattice or fewer points"

_LARGE = 1 << 20  # floats; the C library keeps smaller blocks from the first pass on, larger ones from the third
_MAX_IDLE = 1 << 28  # floats, 1 GiB

_idle: dict[int, list[Tensor]] = defaultdict(list)  # free blocks by their number of floats


class _PooledBuffer(np.ndarray[tuple[int], np.dtype[np.float32]]):
    """A view of a block. A tensor made from it keeps it alive; when it dies, the block returns to the pool."""


def empty(rows: int, channels: int) -> Tensor:
    """float32 (rows, channels) on the CPU, contiguous, not initialised; from the pool where it is large."""
    count = rows * channels
    if count < _LARGE:
        return torch.empty(rows, channels)
    step = 1 << (count.bit_length() - 4)  # few distinct sizes, so that similar requests share blocks
    size = -(-count // step) * step
    block = _idle[size].pop() if _idle[size] else torch.empty(size)
    buffer = block.numpy().view(_PooledBuffer)
    weakref.finalize(buffer, _return_to_pool, block).atexit = False
    return torch.from_numpy(buffer)[:count].view(rows, channels)


def release() -> None:
    """Free the pool's idle blocks."""
    _idle.clear()


def _return_to_pool(block: Tensor) -> None:
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
        if isinstance(error, torch.OutOfMemoryError) or not out_of_memory(error):
            raise
        raise MemoryError(SHORTAGE) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether Python, the GPU or torch's CPU allocator ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
