"""The log of a run: CSV and TensorBoard."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from kidneyseg.training import training_log
from kidneyseg.training.training_log import TrainingLog, time_left


def test_the_log_forgets_rows_that_will_come_again(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, 0) as book:
        for step in (10, 20, 30):
            book.note(step, {"loss": 1 / step, "kidney mean": 0.5})
    with TrainingLog(tmp_path, 20) as book:
        book.note(30, {"loss": 0.25, "kidney mean": 0.75})
    assert (tmp_path / "log.csv").read_text().splitlines() == [
        "step,loss,kidney mean",
        "10,0.1,0.5",
        "20,0.05,0.5",
        "30,0.25,0.75",
    ]


def test_figures_reach_tensorboard_where_it_is_installed(tmp_path: Path) -> None:
    events_of = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard is an optional package"
    )
    with TrainingLog(tmp_path, 0) as book:
        book.note(10, {"loss": 0.5})
    events = events_of.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(10, 0.5)]


def test_times_are_told_in_words() -> None:
    assert [time_left(seconds) for seconds in (5, 100, 5500, 60 * 185)] == ["5 s", "2 min", "1 h 32 min", "3 h 05 min"]


@pytest.mark.parametrize("frozen", [False, True])
def test_the_installed_program_does_not_speak_of_pip(
    frozen: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    training_log.tensorboard_installed.cache_clear()
    try:
        assert not training_log.tensorboard_installed()
    finally:
        training_log.tensorboard_installed.cache_clear()
    assert ("pip install" in caplog.text) == (not frozen)
