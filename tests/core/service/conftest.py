"""Fixtures for tests of the servers."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import Certificates, make_certificates
from clock import Clock
from kidneyseg.service.job_queue import JobQueue


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    with JobQueue(tmp_path / "queue") as opened:
        yield opened


@pytest.fixture
def no_sockets_are_left() -> Iterator[None]:
    """pynetdicom leaves sockets that could not connect to the garbage collector; those of a test go with it."""
    yield
    gc.collect()
