"""Checks of the native kernels' arguments. Each raises ValueError with the offending values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_ROWS = 2**31 - 1

_Array = NDArray[Any]


def check_rows(rows: int) -> None:
    if rows > _MAX_ROWS:
        raise ValueError(f"{rows} sites are more than the {_MAX_ROWS} that one run can hold; split the input")


def check_features(x: _Array, name: str) -> None:
    check_rows(len(x))
    if x.dtype != np.float32 or x.ndim != 2:
        raise ValueError(f"{name} must be a float32 matrix, not {x.dtype} {x.shape}")
    if x.shape[1] > 1 and len(x) and x.strides[1] != x.itemsize:
        raise ValueError(f"{name} must have contiguous rows, not strides {x.strides}")


def check_rows_of(x: _Array, name: str, rows: int, channels: int) -> None:
    check_features(x, name)
    if x.shape != (rows, channels):
        raise ValueError(f"{name} must be ({rows}, {channels}), not {x.shape}")


def check_index(index: _Array, name: str, dimensions: int) -> None:
    check_rows(len(index))
    if index.dtype != np.int32 or index.ndim != dimensions:
        raise ValueError(f"{name} must be int32 of {dimensions} dimensions, not {index.dtype} {index.shape}")
    if not index.flags.c_contiguous:
        raise ValueError(f"{name} must be contiguous")


def check_coords(coords: _Array) -> None:
    check_rows(len(coords))
    if coords.dtype != np.int64 or not coords.flags.c_contiguous:
        raise ValueError(f"coords must be contiguous int64, not {coords.dtype}")
    if coords.ndim != 2 or coords.shape[1] not in (3, 4) or len(coords) == 0:
        raise ValueError(f"coords must be (N, 3) or (N, 4) with N > 0, not {coords.shape}")


def check_keys(keys: _Array) -> None:
    check_rows(len(keys))
    if keys.dtype != np.int64 or keys.ndim != 1 or not keys.flags.c_contiguous:
        raise ValueError(f"keys must be contiguous int64 (N,), not {keys.dtype} {keys.shape}")


def check_size(size: int) -> None:
    if size not in (1, 3, 5):
        raise ValueError(f"a submanifold filter must be 1, 3 or 5 wide, not {size}")
