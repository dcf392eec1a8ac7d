"""The loop of a server goes on whatever a job does, and ends when it is told."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kidneyseg.errors import Cancelled, OutputError
from kidneyseg.service import work_loop as module
from kidneyseg.service.work_loop import work


class Steps:
    """In place of `Processing`: does what is listed, then stops the loop."""

    def __init__(self, stop: threading.Event, *does: Any) -> None:
        self.stop, self.does, self.cleaned, self.said = stop, list(does), 0, list[str]()

    def clean(self) -> None:
        self.cleaned += 1

    def step(self) -> bool:
        if not self.does:
            self.stop.set()
            return False
        what = self.does.pop(0)
        if isinstance(what, BaseException):
            raise what
        return bool(what)

    def say(self, text: str) -> None:
        self.said.append(text)


def test_it_looks_before_each_job_and_cleans_once_an_hour() -> None:
    stop, looks = threading.Event(), list[int]()
    steps: Any = Steps(stop, True, True, False)
    work(steps, lambda: looks.append(1), stop, 0.001)
    assert (len(looks), steps.cleaned) == (4, 1)


def test_a_queue_that_cannot_be_written_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.001)
    stop = threading.Event()
    steps: Any = Steps(stop, OutputError("The disk is full."), True)
    work(steps, lambda: None, stop, 0.001)
    assert steps.said == ["The disk is full."]
    assert steps.does == []


def test_a_job_that_is_given_back_ends_the_loop() -> None:
    steps: Any = Steps(threading.Event(), Cancelled(), True)
    work(steps, lambda: None, threading.Event(), 0.001)
    assert steps.does == [True]
