"""Points into sites and back, on arrays; `layers.InputLayer` and `OutputLayer` do the same on tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Floats, Indices
from kidneyseg.sparse import native
from kidneyseg.sparse.kernel_map import Level, Packing

Sites = Level[NDArray[Any]]
Extent = Callable[[Any], tuple[list[int], list[int]]]


def merge(
    coords: Indices | NDArray[np.int32], features: Floats, mode: int, spatial_size: int | None = None
) -> tuple[Sites, Floats, Indices | None]:
    """Merge points into sites.

    Args:
        coords: int64 or int32 (N, 3) or (N, 4): x, y, z and, in an optional fourth column, the batch index.
        features: float32 (N, C).
        mode: see `layers.InputLayer`.
        spatial_size: if given, coordinates must be below it.

    Returns:
        The sites in lexicographic order, their features, and int64 (N,) the row of each point, -1 for points that modes
        1 and 2 drop; None if point i is row i.

    Raises:
        ValueError: for coordinates that are negative or too large, wrong shapes, or duplicates in mode 0.
    """
    points: Any = np.ascontiguousarray(coords)
    if points.dtype == np.int32:
        points = points.astype(np.int64)
    packing = packing_of(points, features, spatial_size, native.extent)
    if len(points) == 0:
        return Sites(np.zeros(0, np.int64), packing, native), features, None
    keys, in_order = native.pack(points, packing)
    if in_order:
        return Sites(keys, packing, native), features, None
    order = np.argsort(keys, kind="stable")  # fast on points of which long runs are in order
    sorted_keys, rows = keys[order], np.empty_like(order)
    first = np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]])
    starts = np.flatnonzero(first)
    level = Sites(sorted_keys[starts], packing, native)
    rows[order] = np.cumsum(first) - 1
    if len(starts) == len(order):
        return level, features.take(order, axis=0), rows
    if mode == 0:
        raise ValueError(SHARED_SITES)
    counts = np.diff(starts, append=len(order))
    if mode in (1, 2):
        kept = order[starts if mode == 1 else starts + counts - 1]
        chosen = np.full_like(rows, -1)
        chosen[kept] = rows[kept]
        return level, features[kept], chosen
    merged: Floats = np.add.reduceat(features[order], starts, axis=0)
    if mode == 4:
        merged /= counts[:, None].astype(np.float32)
    return level, merged, rows


def spread(values: Floats, rows: Indices | None, absent: Floats) -> Floats:
    """The value of each point: (sites, C), rows (N,) or None from `merge` and absent (C,) -> (N, C)."""
    if rows is None:
        return values
    found = values.take(rows, axis=0, mode="clip") if len(values) else values
    found[rows < 0] = absent
    return found


SHARED_SITES = "input mode 0 merges nothing, but several points have the same coordinates"


def packing_of(coords: Any, features: Any, spatial_size: int | None, extent: Extent) -> Packing:
    """The packing for coords, arrays or tensors, after checks of both arguments; see `merge`."""
    if coords.ndim != 2 or coords.shape[1] not in (3, 4) or not str(coords.dtype).endswith("int64"):
        raise ValueError(f"coords must be int64 (N, 3) or (N, 4), not {coords.dtype} {tuple(coords.shape)}")
    if features.ndim != 2 or len(features) != len(coords):
        raise ValueError(f"features must be ({len(coords)}, C), one row per coordinate, not {tuple(features.shape)}")
    if len(coords) == 0:
        return Packing.around((1, 1, 1))
    smallest, largest = extent(coords)
    if min(smallest) < 0:
        raise ValueError("coords must not be negative; shift them so that the smallest is 0")
    if spatial_size is not None and max(largest[:3]) >= spatial_size:
        raise ValueError(f"coordinate {max(largest[:3])} lies outside the spatial size {spatial_size}")
    if math.prod(v + 10 for v in largest) >= 2**62:
        raise ValueError(f"coordinates up to {largest} span more cells than an int64 key can number")
    return Packing.around((largest[0] + 1, largest[1] + 1, largest[2] + 1))
