"""Filled convex hulls of points on a slice's pixel lattice, exact and with an answer for degenerate sets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Up to so many points the chain is fast enough as it is.
_FEW = 16


def paint_hull(image: NDArray[np.uint8], first: NDArray[np.integer], second: NDArray[np.integer], label: int) -> None:
    """Set every pixel of `image` to `label` whose centre lies in the closed convex hull of pixel centres.

    Args:
        image: uint8 (A, B), changed in place.
        first: (N,) index along A of each point, N >= 1.
        second: (N,) index along B.
        label: what to paint. One point paints its pixel; points on a line paint the pixels exactly on that line.
    """
    # Of each column only its two ends can matter.
    low_a = int(first.min())
    width = int(first.max()) - low_a + 1
    lowest = np.full(width, np.iinfo(np.int64).max)
    highest = np.full(width, np.iinfo(np.int64).min)
    np.minimum.at(lowest, first - low_a, second)
    np.maximum.at(highest, first - low_a, second)
    columns = np.flatnonzero(lowest <= highest)
    every = np.arange(width)
    below = np.interp(every, *_lower_chain(columns, lowest[columns]))
    x, y = _lower_chain(columns, -highest[columns])
    above = -np.interp(every, x, y)
    # The margin undoes the rounding of np.interp; pixel centres off the hull are farther away than this.
    starts = np.ceil(below - 1e-6).astype(np.int64).tolist()
    stops = (np.floor(above + 1e-6).astype(np.int64) + 1).tolist()
    for a, start, stop in zip(range(low_a, low_a + width), starts, stops, strict=True):
        image[a, start:stop] = label


def _lower_chain(x: NDArray[np.integer], y: NDArray[np.integer]) -> tuple[list[int], list[int]]:
    """Corners of the lower convex hull of points with strictly growing x (Andrew's monotone chain)."""
    while len(x) > _FEW:  # most go at once: those that lie on or above the line between their neighbours
        left, right = (x[1:-1] - x[:-2]) * (y[2:] - y[:-2]), (x[2:] - x[:-2]) * (y[1:-1] - y[:-2])
        kept = np.concatenate([[True], right < left, [True]])
        if kept.all():
            break
        x, y = x[kept], y[kept]
    chain: list[tuple[int, int]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(chain) >= 2:
            (ax, ay), (bx, by) = chain[-2:]
            if (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax) > 0:
                break
            chain.pop()
        chain.append(point)
    return [p[0] for p in chain], [p[1] for p in chain]
