"""Windows for tests: on Qt's offscreen platform, with an engine made of fakes and a stand-in for the 3-D view."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before anything of Qt is imported; tests need no display

from pytestqt.qtbot import QtBot

from fakes import FakeEngine
from kidneyseg_gui.compat import keep_constants_alive
from window_fixture import Bench

keep_constants_alive()


@pytest.fixture
def make_bench(qtbot: QtBot, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Makes windows; keywords go to the FakeEngine. All are closed, and their threads ended, after the test."""
    made: list[Bench] = []

    def make(**engine: object) -> Bench:
        made.append(Bench(qtbot, FakeEngine(**engine), tmp_path))
        return made[-1]

    yield make
    for bench in made:
        bench.answers.go_on = True
        bench.window.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """A window over an engine that answers at once."""
    return make_bench()
