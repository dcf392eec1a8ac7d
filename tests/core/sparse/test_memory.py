"""The buffer pool and memory errors."""

import gc

import pytest
import torch

from kidneyseg.sparse import memory
from kidneyseg.sparse.bridge import tensor_of


def pooled(value):
    """A tensor on a pooled block."""
    return tensor_of(memory.empty(300_000, 16)).fill_(value)


def test_a_large_block_is_reused_once_its_tensors_are_gone():
    first = memory.empty(300_000, 16)
    address, view = memory.address(first), first[5:]
    assert first.shape == (300_000, 16)
    assert first.flags.c_contiguous
    del first
    gc.collect()
    assert memory.address(memory.empty(300_000, 16)) != address  # the view still uses it
    del view
    gc.collect()
    assert memory.address(memory.empty(299_999, 16)) == address


def test_features_of_a_usual_number_of_sites_are_reused_by_the_next_pass(monkeypatch):
    monkeypatch.setattr(memory, "_idle", type(memory._idle)(list))
    block = memory.empty(100_000, 16)
    del block
    gc.collect()
    assert sum(map(len, memory._idle.values())) == 1


def test_a_block_is_kept_for_the_gradient():
    x = pooled(2.0).requires_grad_()
    loss = x.square().sum()
    others = [pooled(7.0) for _ in range(3)]
    loss.backward()
    assert x.grad is not None
    assert bool((x.grad == 4.0).all())
    assert len({other.data_ptr() for other in others}) == 3


def test_idle_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(memory, "_MAX_IDLE", 1 << 23)
    monkeypatch.setattr(memory, "_idle", type(memory._idle)(list))
    blocks = [memory.empty(300_000, 16) for _ in range(4)]
    del blocks
    gc.collect()
    assert sum(size * len(idle) for size, idle in memory._idle.items()) <= 1 << 23


def test_idle_memory_is_released(monkeypatch):
    monkeypatch.setattr(memory, "_idle", type(memory._idle)(list))
    block = memory.empty(300_000, 16)
    del block
    gc.collect()
    assert sum(map(len, memory._idle.values())) == 1
    memory.release()
    assert not memory._idle


def test_every_matrix_begins_at_a_multiple_of_64_bytes():
    assert memory.empty(0, 4).shape == (0, 4)
    for rows in (1, 3, 1001, 300_000):
        matrix = memory.empty(rows, 16)
        assert matrix.shape == (rows, 16)
        assert memory.address(matrix) % 64 == 0


def test_the_cpu_allocator_s_error_becomes_a_memory_error():
    with pytest.raises(MemoryError, match="coarser lattice"), memory.memory_errors():
        torch.empty(1 << 50)
    with pytest.raises(RuntimeError, match="shape"), memory.memory_errors():
        torch.empty(3).view(2)
    with pytest.raises(torch.OutOfMemoryError), memory.memory_errors():
        raise torch.OutOfMemoryError("CUDA out of memory")
