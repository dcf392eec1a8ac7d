"""Changes as runs: what they hold, how they are merged, and what a file gives back."""

from __future__ import annotations

import time

import numpy as np
import pytest

from kidneyseg.editing import Change, Voxels, merged
from kidneyseg.errors import InputError

SHAPE = (7, 5, 4)
BIG = (200, 200, 100)


def a_change(seed: int, count: int = 60) -> Change:
    rng = np.random.default_rng(seed)
    index = np.sort(rng.choice(np.prod(SHAPE), count, replace=False)).astype(np.uint32)
    return Change.of_voxels(index, *rng.integers(0, 3, (2, count, 2)).astype(np.uint8))


def test_runs_hold_the_voxels_they_were_made_of() -> None:
    index = np.array([3, 4, 5, 6, 9, 10], np.uint32)
    before = np.array([[0, 0]] * 3 + [[1, 0]] + [[0, 0]] * 2, np.uint8)
    after = np.array([[2, 1]] * 3 + [[2, 2]] + [[2, 1], [0, 0]], np.uint8)
    change = Change.of_voxels(index, before, after)
    assert change.start.tolist() == [3, 6, 9]
    assert change.length.tolist() == [3, 1, 1]  # voxel 10 stays as it was
    assert change.index.tolist() == [3, 4, 5, 6, 9]
    assert len(change) == 5


def test_box_encloses_exactly_the_changed_voxels() -> None:
    inside = np.zeros(SHAPE, np.bool_)
    inside[2:5, 1:3, 1:4] = True
    index = np.flatnonzero(inside.reshape(-1, order="F")).astype(np.uint32)
    none, one = np.zeros((len(index), 2), np.uint8), np.ones((len(index), 2), np.uint8)
    assert Change.of_voxels(index, none, one).box(SHAPE) == (slice(2, 5), slice(1, 3), slice(1, 4))
    assert Change.none().box(SHAPE) is None


@pytest.mark.parametrize("seed", range(5))
def test_box_contains_runs_that_pass_the_end_of_a_row(seed: int) -> None:
    change = a_change(seed, 100)
    box = change.box(SHAPE)
    assert box is not None
    inside = np.zeros(SHAPE, np.bool_)
    inside[box] = True
    assert inside.reshape(-1, order="F")[change.index].all()


def test_a_file_gives_the_change_back() -> None:
    change = a_change(0)
    again = Change.from_bytes(change.to_bytes())
    for name in ("start", "length", "before", "after"):
        np.testing.assert_array_equal(getattr(again, name), getattr(change, name))
    assert len(Change.from_bytes(Change.none().to_bytes())) == 0


@pytest.mark.parametrize("damage", [b"", b"xyz", None])
def test_damaged_bytes_are_refused(damage: bytes | None) -> None:
    content = a_change(0).to_bytes()[:-5] if damage is None else damage
    with pytest.raises(InputError, match="damaged"):
        Change.from_bytes(content)


def test_voxels_of_a_box_are_in_order_and_have_their_labels() -> None:
    labels = np.arange(np.prod(SHAPE), dtype=np.uint8).reshape(SHAPE, order="F")
    box = (slice(1, 6), slice(0, 4), slice(2, 4))
    chosen = labels[box] % 3 == 1
    voxels = Voxels.of_box(box, chosen, labels[box], SHAPE)
    expected = sorted(labels[box][chosen].tolist())
    assert voxels.index.tolist() == expected
    assert voxels.labels.tolist() == expected
    assert set(Voxels.of_box(box, chosen, 3, SHAPE).labels.tolist()) == {3}


@pytest.mark.parametrize("seed", range(5))
def test_merging_runs_is_merging_their_voxels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    flat, states, changes = np.zeros((np.prod(SHAPE), 2), np.uint8), [], []
    for _ in range(4):
        states.append(flat.copy())
        low = np.sort(rng.integers(0, len(flat), 2))
        flat[low[0] : low[1]] = rng.integers(0, 3, 2)
        changes.append(Change.of_voxels(np.arange(len(flat), dtype=np.uint32), states[-1], flat))
    whole, expected = merged(changes), Change.of_voxels(np.arange(len(flat), dtype=np.uint32), states[0], flat)
    for name in ("start", "length", "before", "after"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))


def test_merging_takes_the_time_of_runs_and_not_of_voxels() -> None:
    box = (slice(20, 180), slice(20, 180), slice(20, 80))
    chosen = np.ones([side.stop - side.start for side in box], np.bool_)
    began = time.thread_time()
    index = Voxels.of_box(box, chosen, 1, BIG).index
    none = np.zeros((len(index), 2), np.uint8)
    changes = [Change.of_voxels(index, none + k, none + k + 1) for k in range(4)]
    made = time.thread_time() - began
    began = time.thread_time()
    assert len(merged(changes)) == chosen.size
    assert time.thread_time() - began < 1.5 * made  # sorting the voxels takes many times as long


def test_merging_keeps_the_first_before_and_the_last_after() -> None:
    one = Change.of_voxels(
        np.array([5, 6], np.uint32), np.array([[0, 0]] * 2, np.uint8), np.array([[1, 1]] * 2, np.uint8)
    )
    two = Change.of_voxels(
        np.array([6, 7], np.uint32), np.array([[1, 1], [0, 0]], np.uint8), np.array([[0, 0], [2, 1]], np.uint8)
    )
    both = merged([one, two])
    assert both.index.tolist() == [5, 7]  # voxel 6 is as it was
    assert both.after.tolist() == [[1, 1], [2, 1]]
    assert len(merged([])) == 0
