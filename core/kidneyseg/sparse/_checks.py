"""Checks of the native kernels' arguments. Each raises ValueError with the offending values."""

from __future__ import annotations

import torch
from torch import Tensor

_MAX_ROWS = 2**31 - 1


def check_rows(rows: int) -> None:
    if rows > _MAX_ROWS:
        raise ValueError(f"{rows} sites are more than the {_MAX_ROWS} that one run can hold; split the input")


def check_features(x: Tensor, name: str) -> None:
    check_rows(len(x))
    if x.dtype != torch.float32 or x.device.type != "cpu" or x.ndim != 2:
        raise ValueError(f"{name} must be a float32 matrix on the CPU, not {x.dtype} {tuple(x.shape)} on {x.device}")
    if x.shape[1] > 1 and len(x) and x.stride(1) != 1:
        raise ValueError(f"{name} must have contiguous rows, not strides {x.stride()}")


def check_rows_of(x: Tensor, name: str, rows: int, channels: int) -> None:
    check_features(x, name)
    if x.shape != (rows, channels):
        raise ValueError(f"{name} must be ({rows}, {channels}), not {tuple(x.shape)}")


def check_index(index: Tensor, name: str, dimensions: int) -> None:
    check_rows(len(index))
    if index.dtype != torch.int32 or index.device.type != "cpu" or index.ndim != dimensions:
        raise ValueError(f"{name} must be int32 on the CPU, not {index.dtype} {tuple(index.shape)} on {index.device}")
    if not index.is_contiguous():
        raise ValueError(f"{name} must be contiguous")


def check_coords(coords: Tensor) -> None:
    check_rows(len(coords))
    if coords.dtype != torch.int64 or coords.device.type != "cpu" or not coords.is_contiguous():
        raise ValueError(f"coords must be contiguous int64 on the CPU, not {coords.dtype} on {coords.device}")
    if coords.ndim != 2 or coords.shape[1] not in (3, 4) or len(coords) == 0:
        raise ValueError(f"coords must be (N, 3) or (N, 4) with N > 0, not {tuple(coords.shape)}")


def check_keys(keys: Tensor) -> None:
    check_rows(len(keys))
    if keys.dtype != torch.int64 or keys.device.type != "cpu" or keys.ndim != 1 or not keys.is_contiguous():
        raise ValueError(f"keys must be int64 (N,) on the CPU, not {keys.dtype} {tuple(keys.shape)} on {keys.device}")


def check_size(size: int) -> None:
    if size not in (1, 3, 5):
        raise ValueError(f"a submanifold filter must be 1, 3 or 5 wide, not {size}")
