"""Memory for large matrices that serves again.

The C library gives a large block back to the system as soon as it is free, and clearing fresh pages for the next one
takes as long as a norm does: a tenth of a pass or a training step at half a million sites, more where two threads wait
for the system.
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

_LARGE = 1 << 22  # floats; the C library itself keeps smaller blocks
_MOST_IDLE = 1 << 28  # floats, 1 GiB

_idle: dict[int, list[Tensor]] = defaultdict(list)


class _Lease(np.ndarray[tuple[int], np.dtype[np.float32]]):
    """A borrowed block; the tensor on it keeps it alive, and it goes back when that one is gone."""


def empty(rows: int, channels: int) -> Tensor:
    """float32 (rows, channels) on the CPU, contiguous, not initialised."""
    count = rows * channels
    if count < _LARGE:
        return torch.empty(rows, channels)
    step = 1 << (count.bit_length() - 4)  # few sizes, so that steps of slightly different size share them
    size = -(-count // step) * step
    block = _idle[size].pop() if _idle[size] else torch.empty(size)
    lease = block.numpy().view(_Lease)
    weakref.finalize(lease, _give_back, block).atexit = False
    return torch.from_numpy(lease)[:count].view(rows, channels)


def release() -> None:
    """Give idle blocks back to the system."""
    _idle.clear()


def _give_back(block: Tensor) -> None:
    if sum(size * len(blocks) for size, blocks in _idle.items()) + len(block) <= _MOST_IDLE:
        _idle[len(block)].append(block)


@contextmanager
def shortage_said() -> Iterator[None]:
    """Raises MemoryError with the mend where torch's CPU allocator raises a RuntimeError of its own."""
    try:
        yield
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise MemoryError(SHORTAGE) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether Python, the GPU or torch's allocator on the CPU ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
