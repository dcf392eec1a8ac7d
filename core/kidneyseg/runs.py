"""Runs of consecutive flat indices, in ascending order: what they hold, and what several of them cover together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def expanded(start: NDArray[np.integer], length: NDArray[np.integer]) -> NDArray[np.uint32]:
    """The indices of runs, uint32 (N,), from their first indices (R,) and lengths (R,)."""
    before = np.cumsum(length, dtype=np.int64) - length  # indices in the runs before
    first = (start.astype(np.int64) - before).astype(np.uint32)  # may lie below 0: the sum is right in uint32, too
    index: NDArray[np.uint32] = np.repeat(first, length)
    index += np.arange(len(index), dtype=np.uint32)
    return index


def united(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Ascending runs, with gaps between them, that cover the same as these, which may overlap and are in any order.

    Args:
        start: of each run, int64 (R,).
        stop: the index after each run's last, int64 (R,).

    Returns:
        the same of the runs together.
    """
    order = np.argsort(start, kind="stable")
    start, stop = start[order], np.maximum.accumulate(stop[order])
    first = np.flatnonzero(np.append(True, start[1:] > stop[:-1])) if len(start) else order
    return start[first], stop[np.append(first[1:], len(start)) - 1] if len(start) else stop


def pieces(start: Ints, stop: Ints) -> tuple[Ints, Ints, NDArray[np.intp]]:
    """Overlapping runs cut where any of them begins or ends, so that two pieces are equal or apart.

    Args:
        start: of each run, int64 (R,).
        stop: the index after each run's last, int64 (R,).

    Returns:
        the same of each piece, in ascending order, and which run (P,) it is of; equal pieces are in the order of runs.
    """
    order = np.argsort(start, kind="stable")
    if (start[order][1:] >= stop[order][:-1]).all():
        return start[order], stop[order], order
    cuts = np.unique(np.concatenate([start, stop]))
    first = np.searchsorted(cuts, start)
    count = np.searchsorted(cuts, stop) - first
    run = np.repeat(np.arange(len(start)), count)
    cut = np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count) + first[run]
    order = np.argsort(cut, kind="stable")
    return cuts[cut[order]], cuts[cut[order] + 1], run[order]
