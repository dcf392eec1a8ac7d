"""Passes of a network: buffers that are reused, and slabs."""

import tracemalloc

import numpy as np
import pytest

from kidneyseg.sparse import memory, native, passes
from kidneyseg.sparse.passes import BufferPool
from random_networks import LAYOUTS, points, trained

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


def test_buffers_are_reused_where_they_fit():
    buffers = BufferPool()
    large, small = buffers.take(10, 8), buffers.take(3, 4)
    assert memory.address(large) % 64 == 0
    buffers.put_back(large, small)
    assert memory.address(buffers.take(2, 6)) == memory.address(small)
    assert memory.address(buffers.take(2, 6)) == memory.address(large)
    assert memory.address(buffers.take(2, 6)) not in (memory.address(small), memory.address(large))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("size", [1, 60, 300])
def test_slabs_give_the_same_logits_bit_for_bit(monkeypatch, layout, size):
    network, (coords, features) = trained(**layout), points()
    whole = network.arrays.runner()(coords.numpy(), features.numpy(), report=lambda _: None)
    monkeypatch.setattr(passes, "_MOST_SITES", 1)
    monkeypatch.setattr(passes, "_SLAB_SITES", size)
    shares: list[float] = []
    slabs = network.arrays.runner()(coords.numpy(), features.numpy(), report=shares.append)
    assert slabs.tobytes() == whole.tobytes()
    assert shares == sorted(set(shares))
    assert shares[-1] == 1.0


def test_slabs_take_a_fraction_of_the_memory(monkeypatch):
    network = trained(planes=[16, 16]).arrays.runner()
    coords = np.argwhere(np.random.default_rng(0).random((200, 50, 50)) < 0.5)
    features = np.zeros((len(coords), 3), np.float32)
    monkeypatch.setattr(memory, "_LARGE", 1 << 60)  # nothing is pooled, so that peaks do not depend on earlier tests

    def peak() -> int:
        tracemalloc.start()
        network(coords, features, report=lambda _: None)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    whole = peak()
    monkeypatch.setattr(passes, "_MOST_SITES", 1 << 17)
    monkeypatch.setattr(passes, "_SLAB_SITES", 1 << 14)
    assert len(coords) > passes._MOST_SITES
    assert peak() < 0.6 * whole
