from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from kidneyseg_gui.garbage import GarbageCollector
from window_fixture import WindowFixture


class Cycle:
    """Something that only a collection frees; it notes the thread that frees it."""

    freed_in: threading.Thread | None = None

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Cycle.freed_in = threading.current_thread()


@pytest.fixture
def collector(qtbot: QtBot) -> Iterator[GarbageCollector]:
    gc.collect()
    Cycle.freed_in = None
    made = GarbageCollector()
    yield made
    made.stop()


def allocate() -> None:
    """As much as would make Python collect several times."""
    kept = [[] for _ in range(50_000)]
    del kept


def test_a_working_thread_frees_nothing_of_the_window(collector: GarbageCollector, qtbot: QtBot) -> None:
    cycle = weakref.ref(Cycle())
    thread = threading.Thread(target=allocate)
    thread.start()
    thread.join()
    assert cycle() is not None
    assert Cycle.freed_in is None
    kept = [[] for _ in range(5_000)]  # the count that makes a collection due goes down as things are freed
    qtbot.waitUntil(lambda: cycle() is None, timeout=5000)
    assert Cycle.freed_in is threading.main_thread()
    del kept


def test_python_collects_again_after_the_end(window: WindowFixture) -> None:
    assert not gc.isenabled()
    window.main.close()
    assert gc.isenabled()
