"""Tensors as the arrays that the native kernels take, and back, without copies.

Where torch is in use, the kernels use as many threads as torch does.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from kidneyseg.sparse import native, threads

threads.follow(torch.get_num_threads)


def supports(x: Tensor) -> bool:
    """Whether the kernels were built and x is on the CPU and float32 (or int64, for keys)."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.int64) and native.available()


def array_of(x: Tensor) -> NDArray[Any]:
    """The memory of a tensor on the CPU as an array."""
    return x.detach().numpy()


def tensor_of(x: NDArray[Any] | Tensor) -> Tensor:
    """The memory of an array as a tensor; a tensor is returned as it is."""
    return x if isinstance(x, Tensor) else torch.from_numpy(x)
