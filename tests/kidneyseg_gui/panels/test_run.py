from __future__ import annotations

from collections.abc import Callable

from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_progress_shows_stage_percent_and_time_left(make_window: MakeWindow):
    window = make_window(seconds=2.5)
    window.open()
    window.main.controller.segment()
    panel = window.main.run_panel
    assert panel.button.text() == "Cancel"
    assert panel.stage.text() == "Starting…"  # it waits for its turn
    window.qtbot.waitUntil(lambda: "%" in panel.stage.text() and "left" in panel.left.text(), timeout=5000)
    assert panel.bar.value() > 0
    window.idle()
    assert panel.button.text() == "Segment"
