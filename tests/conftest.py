"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real CTs beside the repository; a test that asks for it is skipped where it is missing."""
    if not (DATA / "btcv").is_dir():
        pytest.skip("no real CTs: ../shared/data is missing")
    return DATA
