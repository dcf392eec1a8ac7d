"""Fixtures that every test may use."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

# A shell starts its background jobs with Ctrl-C ignored, and the programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real CTs beside the repository; a test that asks for it is skipped where it is missing."""
    if not (DATA / "btcv").is_dir():
        pytest.skip("no real CTs: ../shared/data is missing")
    return DATA


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """SparseConvNet's own inputs and outputs; a test that asks for them is skipped where they are missing."""
    folder = DATA.parent / "golden"
    if not folder.is_dir():
        pytest.skip("no reference outputs: ../shared/golden is missing")
    return folder
