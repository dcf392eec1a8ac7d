"""How many threads the native kernels use."""

from __future__ import annotations

import os

import pytest
import torch

from kidneyseg.sparse import bridge, threads


@pytest.mark.parametrize(("value", "count"), [("3", 3), ("5,2", 5)])
def test_the_environment_says_how_many(monkeypatch: pytest.MonkeyPatch, value: str, count: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads.of_machine.__wrapped__() == count


@pytest.mark.parametrize("value", ["", "0", "many"])
def test_otherwise_it_is_the_cores(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(threads, "_core_of", lambda cpu: f"core {cpu // 2}")
    assert threads.of_machine.__wrapped__() == 2


def test_torch_s_number_is_used_where_torch_is() -> None:
    assert bridge.torch is torch
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    assert threads.count() == 3
    torch.set_num_threads(before)
