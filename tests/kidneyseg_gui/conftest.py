"""Windows for tests, on Qt's offscreen platform, with a fake pipeline and a fake 3-D view."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before anything of Qt is imported; tests need no display

from pytestqt.qtbot import QtBot

from fakes import FakeServices
from window_fixture import WindowFixture


@pytest.fixture
def make_window(qtbot: QtBot, tmp_path: Path) -> Iterator[Callable[..., WindowFixture]]:
    """Makes windows; keywords go to FakeServices. All are closed, and their threads ended, after the test."""
    made: list[WindowFixture] = []

    def make(**options: Any) -> WindowFixture:
        made.append(WindowFixture(qtbot, FakeServices(**options), tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.answers.go_on = True
        each.main.close()


@pytest.fixture
def window(make_window: Callable[..., WindowFixture]) -> WindowFixture:
    """A window whose fake pipeline answers at once."""
    return make_window()
