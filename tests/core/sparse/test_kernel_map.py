"""Kernel maps and keys: made once, freed early."""

import gc
import weakref

import numpy as np
import pytest

from kidneyseg.sparse import native
from kidneyseg.sparse.kernel_map import PADDING, Level, Packing
from random_sites import sites

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


def test_one_key_out_of_order_is_detected_anywhere(threads):
    packing, coords = Packing.around((9, 9, 3000)), np.zeros((3000, 3), np.int64)
    for number in (1, 2, 3):
        threads(number)
        for row in (1, 999, 1000, 1001, 1499, 1500, 1501, 2000, 2999):
            coords[:, 2] = np.arange(3000)
            assert native.pack(coords, packing)[1]
            coords[row, 2] = coords[row - 1, 2]
            assert not native.pack(coords, packing)[1]


def test_maps_are_freed_without_a_garbage_collection():
    level = Level(*sites(500, edge=9), native)
    down = level.down()
    made = [weakref.ref(map_.plan) for map_ in (level.neighbours(), down.children, down.parents)]
    gc.disable()
    try:
        del level, down
        assert [plan() for plan in made] == [None] * 3
    finally:
        gc.enable()


def test_a_plan_is_made_once_per_instruction_set():
    keys, packing = sites(300, edge=7)
    neighbours, best = Level(keys, packing, native).neighbours(), native.instruction_set()
    plan = neighbours.plan
    assert neighbours.plan is plan
    if native.limit_instruction_set("baseline") != best:
        assert neighbours.plan is not plan
    native.limit_instruction_set(best)


def test_filters_wider_than_the_padding_are_refused() -> None:
    with pytest.raises(ValueError, match="1, 3 or 5"):
        Level(np.zeros(1, np.int64), Packing.around((1, 1, 1)), native).neighbours(7)


@pytest.mark.parametrize("edge", [16, 15, 14, 12, 9, 1])
def test_a_mirrored_level_shares_the_maps_that_are_the_same_in_a_mirror(edge: int) -> None:
    packing = Packing.around((edge, 16, 16))
    keys = np.unique(packing.pack(np.random.default_rng(0).integers(0, (edge, 16, 16), (800, 3))))
    level = Level(keys, packing, native)
    level.down().coarse.down()
    mirrored = level.mirrored(2)
    shared = [mirrored.neighbours() is level.neighbours()]
    finer, finer_mirrored = level, mirrored
    x = edge - 1 - packing.unpack(keys)[0]
    for depth in (1, 2):
        down, down_mirrored = finer.down(), finer_mirrored.down()
        shared.append(down_mirrored.children is down.children)
        finer, finer_mirrored = down.coarse, down_mirrored.coarse
        # The pairs begin at the last cell: those are the coarser sites of the mirror image.
        size = finer_mirrored.packing.x_size - 2 * PADDING
        found = size - 1 - finer_mirrored.packing.unpack(finer_mirrored.keys)[0]
        assert set(found) == set(x >> depth)
    assert shared == [True, edge % 2 == 0, edge % 4 == 0]


def test_only_what_fits_a_key_and_is_of_one_batch_is_mirrored() -> None:
    packing = Packing.around((1, 1, 1))
    two = Level(packing.pack(np.array([[0, 0, 0, 0], [0, 0, 0, 1]])), packing, native)
    with pytest.raises(ValueError, match="one batch"):
        two.mirrored(3)
    huge = Level(np.zeros(1, np.int64), Packing.around((1, 2**28, 2**28)), native)
    with pytest.raises(ValueError, match="more cells"):
        huge.mirrored(6)
