"""Fixtures for tests of the sparse engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from kidneyseg.sparse import native


@pytest.fixture(params=["baseline", "avx2", "avx512"])
def instructions(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs a test of the native kernels on every instruction set of this processor."""
    best = native.instruction_set()
    if native.limit_instruction_set(request.param) != request.param:
        native.limit_instruction_set(best)
        # Its instructions would end the process; `test_library.py` runs emulated AVX-512.
        pytest.skip(f"this processor has no {request.param}")
    yield
    native.limit_instruction_set(best)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """One thread, the fastest for small inputs; gives the function that sets another number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch.set_num_threads
    torch.set_num_threads(before)
