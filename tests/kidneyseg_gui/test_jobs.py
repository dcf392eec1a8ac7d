from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from PySide6.QtCore import QTimer

from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


@pytest.mark.parametrize("deaf", [False, True], ids=["listening", "deaf"])
def test_cancel_answers_within_a_second_and_keeps_the_result(make_window: MakeWindow, deaf: bool):
    window = make_window()
    window.open()
    window.segment()
    before = window.case.result
    window.fake.pipelines[-1].seconds, window.fake.pipelines[-1].deaf = 3.0, deaf
    window.case.set_settings(window.case.settings.with_(sampling={"kept_percent": 12.0}))
    window.main.controller.segment()
    window.qtbot.wait(150)
    began = time.monotonic()
    with window.qtbot.waitSignal(window.jobs.cancelled, timeout=5000):
        window.main.run_panel.button.click()
    assert time.monotonic() - began < 1.0
    assert "cancelled" in window.notices()
    assert window.case.result is before
    assert not window.jobs.busy
    if deaf:  # what the abandoned run still brings is dropped
        window.qtbot.wait(3300)
        assert window.case.result is before


def test_the_window_stays_alive_while_the_pipeline_works(make_window: MakeWindow):
    window = make_window(seconds=1.5)
    window.open()
    beats: list[float] = []
    pulse = QTimer(interval=10)
    pulse.timeout.connect(lambda: beats.append(time.perf_counter()))
    window.main.controller.segment()
    window.qtbot.wait(100)
    pulse.start()
    window.qtbot.wait(1200)
    pulse.stop()
    gaps = sorted(b - a for a, b in pairwise(beats))
    # A busy machine may hold up single beats; a window that waits for its pipeline would miss nearly all of them.
    assert gaps[len(gaps) * 9 // 10] < 0.1
