"""Fixtures of the sparse engine's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kidneyseg.sparse import native


@pytest.fixture(params=["baseline", "avx2", "avx512"])
def instructions(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs a test of the native kernels on every instruction set that this processor has."""
    best = native.instruction_set()
    if native.limit_instruction_set(request.param) != request.param:
        native.limit_instruction_set(best)
        # Its instructions would end the process; `test_native.py` runs them under an emulator where there is one.
        pytest.skip(f"this processor has no {request.param}")
    yield
    native.limit_instruction_set(best)
