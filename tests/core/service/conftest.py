"""Fixtures for tests of the servers."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from certificates import Certificates, make_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def no_sockets_are_left() -> Iterator[None]:
    """pynetdicom leaves sockets that could not connect to the garbage collector; those of a test go with it."""
    yield
    gc.collect()
