"""Kernel maps and keys: native against torch, made once, freed early."""

import gc
import weakref

import pytest
import torch

from kidneyseg.sparse import kernel_map, native
from kidneyseg.sparse.kernel_map import Level, Packing
from random_sites import sites

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


@pytest.mark.parametrize(("count", "edge"), [(0, 4), (1, 1), (2, 40), (3000, 10), (9000, 64)])
def test_native_and_torch_maps_are_equal(count, edge, threads):
    keys, packing = sites(count, edge, batches=3)
    coarse = packing.coarser()
    for number in (1, 2, 3):
        threads(number)
        for size in (1, 3, 5):
            table = native.neighbour_table(keys, packing.y_size, packing.z_size, size)
            assert torch.equal(table, kernel_map.neighbour_table(keys, packing.y_size, packing.z_size, size))
        for built, expected in zip(
            native.coarsen(keys, packing, coarse), kernel_map.coarsen(keys, packing, coarse), strict=True
        ):
            assert torch.equal(built, expected)


@pytest.mark.parametrize("columns", [3, 4])
@pytest.mark.parametrize("count", [1, 2, 5000])
def test_native_and_torch_keys_are_equal(count, columns, threads, monkeypatch):
    packing, generator = Packing.around((50, 60, 70)), torch.Generator().manual_seed(count)
    coords = torch.randint(-9, 50, (count, columns), generator=generator)
    for each in (coords, packing.unpack(torch.unique(packing.pack(coords)))[:, :columns]):
        monkeypatch.setattr(native, "supports", lambda _: False)
        extent, (keys, in_order) = kernel_map.extent(each), packing.pack_in_order(each)
        monkeypatch.undo()
        for number in (1, 2, 3):
            threads(number)
            assert kernel_map.extent(each) == extent
            ours, ordered = packing.pack_in_order(each)
            assert torch.equal(ours, keys)
            assert ordered == in_order


def test_one_key_out_of_order_is_detected_anywhere(threads):
    packing, coords = Packing.around((9, 9, 3000)), torch.zeros(3000, 3, dtype=torch.int64)
    for number in (1, 2, 3):
        threads(number)
        for row in (1, 999, 1000, 1001, 1499, 1500, 1501, 2000, 2999):
            coords[:, 2] = torch.arange(3000)
            assert packing.pack_in_order(coords)[1]
            coords[row, 2] = coords[row - 1, 2]
            assert not packing.pack_in_order(coords)[1]


def test_maps_are_freed_without_a_garbage_collection():
    level = Level(*sites(500, edge=9))
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
    neighbours, best = Level(keys, packing).neighbours(), native.instruction_set()
    plan = neighbours.plan
    assert neighbours.plan is plan
    if native.limit_instruction_set("baseline") != best:
        assert neighbours.plan is not plan
    native.limit_instruction_set(best)


def test_filters_wider_than_the_padding_are_refused() -> None:
    with pytest.raises(ValueError, match="1, 3 or 5"):
        Level(torch.zeros(1, dtype=torch.int64), Packing.around((1, 1, 1))).neighbours(7)
