"""The layer of hand-made voxels over the networks' mask."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from kidneyseg.editing import EditedMask, Voxels, merged
from kidneyseg.errors import InputError

SHAPE = (9, 8, 7)


def networks(seed: int = 0) -> NDArray[np.uint8]:
    return np.asfortranarray(np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint8))


def voxels(seed: int, count: int = 120) -> Voxels:
    rng = np.random.default_rng(seed)
    index = np.sort(rng.choice(np.prod(SHAPE), count, replace=False)).astype(np.uint32)
    return Voxels(index, rng.integers(0, 4, count).astype(np.uint8))


def state(mask: EditedMask) -> tuple[bytes, bytes, dict[int, int]]:
    assert dict(mask.count) == {label: int((mask.labels == label).sum()) for label in (1, 2, 3)}
    made = mask.marks > 0
    assert dict(mask.by_hand) == {label: int((made & (mask.labels == label)).sum()) for label in range(4)}
    return mask.labels.tobytes(), mask.marks.tobytes(), dict(mask.by_hand)


def test_painting_sets_labels_and_remembers_what_was_below() -> None:
    base = networks()
    mask, painted = EditedMask(base), voxels(1)
    mask.apply(mask.painted(painted))
    flat, below = mask.labels.reshape(-1, order="F"), base.reshape(-1, order="F")
    np.testing.assert_array_equal(flat[painted.index], painted.labels)
    changed = flat != below
    np.testing.assert_array_equal(mask.marks.reshape(-1, order="F"), np.where(changed, below + 1, 0))
    assert sum(mask.by_hand.values()) == changed.sum()
    np.testing.assert_array_equal(base, networks())  # the given labels are copied


@pytest.mark.parametrize("order", ["C", "F"])
def test_everything_can_be_reverted_in_turn(order: str) -> None:
    mask = EditedMask(np.array(networks(), order=order))  # type: ignore[call-overload]
    states, changes = [state(mask)], []
    for seed in range(6):
        change = (
            mask.replaced(np.array(networks(seed), order=order))  # type: ignore[call-overload]
            if seed % 3 == 2
            else mask.discarded()
            if seed == 4
            else mask.painted(voxels(seed))
        )
        mask.apply(change)
        changes.append(change)
        states.append(state(mask))
    assert len(set(map(str, states))) == 7
    whole = merged(changes)
    for change, before in zip(reversed(changes), reversed(states[:-1]), strict=True):
        mask.revert(change)
        assert state(mask) == before
    mask.apply(whole)
    assert state(mask) == states[-1]


def test_new_labels_of_the_networks_leave_what_was_made_by_hand() -> None:
    mask, painted = EditedMask(networks(0)), voxels(1)
    mask.apply(mask.painted(painted))
    made = mask.marks > 0
    kept, new = mask.labels.copy(), networks(5)
    np.testing.assert_array_equal(mask.below(), networks(0))
    mask.apply(mask.replaced(new))
    np.testing.assert_array_equal(mask.below(), new)
    np.testing.assert_array_equal(mask.labels, np.where(made, kept, new))
    mask.apply(mask.discarded())
    np.testing.assert_array_equal(mask.labels, new)
    assert not mask.marks.any()
    assert set(mask.by_hand.values()) == {0}


def test_a_locked_label_neither_gains_nor_loses_voxels() -> None:
    base = networks()
    mask = EditedMask(base)
    mask.apply(mask.painted(voxels(1), locked=(2,)))
    np.testing.assert_array_equal(mask.labels == 2, base == 2)
    assert (mask.labels != base).any()


@pytest.mark.parametrize("locked", [(), (2,)])
def test_a_change_can_be_computed_in_place_of_the_last_one(locked: tuple[int, ...]) -> None:
    mask = EditedMask(networks())
    mask.apply(mask.painted(voxels(1)))
    last = mask.painted(voxels(2))
    mask.apply(last)
    instead = mask.painted(voxels(3), locked, instead_of=last)
    assert mask.version == 2  # nothing was changed for it
    mask.revert(last)
    expected = mask.painted(voxels(3), locked)
    assert instead.to_bytes() == expected.to_bytes()
    assert len(instead)


def test_the_whole_mask_can_be_made_of_an_empty_one() -> None:
    mask = EditedMask(networks())
    mask.apply(mask.painted(voxels(1)))
    again = EditedMask.empty(SHAPE)
    again.apply(mask.whole())
    assert state(again) == state(mask)


def test_hand_made_labels_of_a_file_lie_between_its_own_and_what_was_made_by_hand() -> None:
    mask, file = EditedMask(networks(0)), networks(5)
    mask.apply(mask.painted(voxels(1)))
    own, before = mask.marks > 0, state(mask)
    marks = np.where(np.arange(SHAPE[0])[:, None, None] < 4, networks(6) + np.uint8(1), np.uint8(0))
    change = mask.replaced(file, marks)
    kept = mask.labels.copy()
    mask.apply(change)
    state(mask)  # the counts fit
    np.testing.assert_array_equal(mask.labels, np.where(own, kept, file))
    np.testing.assert_array_equal(mask.marks > 0, own | (marks > 0))
    np.testing.assert_array_equal(mask.below(), np.where(marks, marks - np.uint8(1), file))
    mask.revert(change)
    assert state(mask) == before


def test_nothing_to_do_is_no_change() -> None:
    mask = EditedMask(np.zeros(SHAPE, np.uint8))
    for change in (mask.painted(Voxels.none()), mask.discarded(), mask.whole(), mask.replaced(mask.labels.copy())):
        assert len(change) == 0


def test_a_snapshot_is_a_copy_with_what_belongs_to_it() -> None:
    mask = EditedMask(networks())
    mask.apply(mask.painted(voxels(1)))
    taken, before = mask.snapshot(with_marks=True), state(mask)
    mask.apply(mask.painted(voxels(2)))
    assert taken.labels.tobytes() == before[0]
    assert taken.marks is not None
    assert taken.marks.tobytes() == before[1]
    assert mask.snapshot().marks is None
    assert dict(taken.by_hand) == before[2]
    assert taken.version == 1
    assert mask.version == 2


def test_a_snapshot_from_another_thread_holds_no_half_of_a_change() -> None:
    size = 200
    mask = EditedMask.empty((size, size, size))
    everything = Voxels(np.arange(size**3, dtype=np.uint32), np.ones(size**3, np.uint8))
    change, ended = mask.painted(everything), threading.Event()
    torn = []

    def read() -> None:
        while not ended.is_set():
            taken = mask.snapshot()
            if int(np.count_nonzero(taken.labels)) != taken.by_hand[1]:
                torn.append(taken.version)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(4):
        mask.apply(change)
        mask.revert(change)
    ended.set()
    reader.join()
    assert torn == []


def test_labels_that_a_mask_cannot_have_are_refused() -> None:
    with pytest.raises(InputError, match="label 7"):
        EditedMask(np.full(SHAPE, 7, np.uint8))
