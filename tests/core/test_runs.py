"""Runs of indices against the indices that they hold."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.runs import expanded, pieces, united


def some_runs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 60, 12)
    return start, start + rng.integers(1, 9, 12)


def test_indices_of_runs() -> None:
    assert expanded(np.array([5, 9], np.uint32), np.array([3, 1], np.uint32)).tolist() == [5, 6, 7, 9]
    assert len(expanded(np.zeros(0, np.uint32), np.zeros(0, np.uint32))) == 0
    last = np.uint32(2**32 - 2)
    assert expanded(np.array([0, last], np.uint32), np.array([1, 2])).tolist() == [0, 2**32 - 2, 2**32 - 1]


@pytest.mark.parametrize("seed", range(8))
def test_runs_together_hold_what_each_holds(seed: int) -> None:
    start, stop = some_runs(seed)
    held = sorted({index for a, b in zip(start, stop, strict=True) for index in range(a, b)})
    low, high = united(start, stop)
    assert expanded(low, high - low).tolist() == held
    assert (low[1:] > high[:-1]).all()


@pytest.mark.parametrize("seed", range(8))
def test_pieces_are_equal_or_apart_and_know_their_run(seed: int) -> None:
    start, stop = some_runs(seed)
    low, high, run = pieces(start, stop)
    for number, (a, b) in enumerate(zip(start, stop, strict=True)):
        own = run == number
        assert expanded(low[own], high[own] - low[own]).tolist() == list(range(a, b))
    same = low[1:] == low[:-1]
    assert (high[1:][same] == high[:-1][same]).all()
    assert (run[1:][same] > run[:-1][same]).all()
    assert (low[1:][~same] >= high[:-1][~same]).all()


def test_no_runs() -> None:
    none = np.zeros(0, np.int64)
    assert all(len(part) == 0 for part in (*united(none, none), *pieces(none, none)))
