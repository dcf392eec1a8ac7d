"""Edits that are computed in the working thread, in their order."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from kidneyseg.editing import Voxels
from kidneyseg.errors import InputError
from kidneyseg_gui.tools import Tool
from window_fixture import WindowFixture


def one_more(_volume: object, labels: np.ndarray) -> Voxels:
    """Label the voxel after those that are labelled."""
    return Voxels(np.array([np.count_nonzero(labels)], np.uint32), np.array([1], np.uint8))


def test_edits_run_one_after_the_other_and_none_is_lost(window: WindowFixture):
    window.open()

    def label_one(number: int) -> Callable[..., Voxels]:
        return lambda _volume, _labels: Voxels(np.array([number], np.uint32), np.array([1], np.uint8))

    for number in range(10):
        window.case.request_edit(f"Edit {number}", label_one(number))
    window.qtbot.waitUntil(lambda: window.case.edits.stack.count() == 10, timeout=5000)
    assert [step.text() for step in window.case.edits.steps()] == [f"Edit {number}" for number in range(10)]


def test_an_edit_that_fails_or_changes_nothing_says_so(window: WindowFixture):
    def fail(*_: object) -> Voxels:
        raise InputError("There is no slice to interpolate. Draw two.")

    window.open()
    window.case.request_edit("Interpolate", fail)
    window.qtbot.waitUntil(lambda: "Draw two." in window.notices(), timeout=5000)
    window.case.request_edit("Smooth", lambda *_: Voxels.none())
    window.qtbot.waitUntil(lambda: "Smooth: nothing changes here." in window.notices(), timeout=5000)
    window.case.edits.set_locked(frozenset({1, 3}))
    window.case.request_edit("Grow", lambda *_: Voxels.none())
    window.qtbot.waitUntil(lambda: "nothing changes here. Locked: kidney and cyst." in window.notices(), timeout=5000)
    assert window.case.edits.stack.count() == 0


def test_the_next_gesture_takes_away_that_an_edit_changed_nothing(window: WindowFixture):
    window.open()

    def change_nothing() -> None:
        window.case.request_edit("Smooth", lambda *_: Voxels.none())
        window.qtbot.waitUntil(lambda: "nothing changes here" in window.notices(), timeout=5000)

    for gesture in (
        lambda: window.case.edits.paint("Paint", Voxels(np.arange(3, dtype=np.uint32), np.full(3, 2, np.uint8))),
        window.case.edits.undo,
        lambda: window.case.set_tool(tool=Tool.BRUSH),
        lambda: window.case.request_edit("Edit", one_more),
    ):
        change_nothing()
        gesture()
        assert "nothing changes here" not in window.notices()


def test_each_edit_starts_from_what_the_edit_before_it_gave(window: WindowFixture):
    window.open()
    for number in range(5):
        window.case.request_edit(f"Edit {number}", one_more)
    window.qtbot.waitUntil(lambda: window.case.edits.stack.count() == 5, timeout=5000)
    assert window.case.edits.mask.count[1] == 5


def test_an_edit_is_computed_again_where_a_stroke_has_changed_the_mask_meanwhile(window: WindowFixture):
    window.open()
    calls, painted = [], threading.Event()

    def compute(volume: object, labels: np.ndarray) -> Voxels:
        calls.append(np.count_nonzero(labels))
        voxels = one_more(volume, labels)
        assert painted.wait(5)
        return voxels

    window.case.request_edit("Edit", compute)
    window.qtbot.waitUntil(lambda: len(calls) == 1, timeout=5000)
    window.case.edits.paint("Paint", Voxels(np.arange(30, dtype=np.uint32), np.full(30, 2, np.uint8)))
    painted.set()
    window.qtbot.waitUntil(lambda: window.case.edits.stack.count() == 2, timeout=5000)
    assert calls == [0, 30]
    assert window.case.edits.mask.count[2] == 30
    assert window.case.edits.mask.labels.reshape(-1, order="F")[30] == 1


def test_undo_drops_the_edits_that_wait_and_later_ones_work(window: WindowFixture):
    window.open()
    window.case.request_edit("First", one_more)
    window.qtbot.waitUntil(lambda: window.case.edits.stack.count() == 1, timeout=5000)
    window.case.request_edit("Second", one_more)
    window.case.request_edit("Third", one_more)
    window.case.edits.undo()
    window.case.request_edit("Fourth", one_more)
    window.qtbot.waitUntil(lambda: window.case.edits.stack.count() == 1, timeout=5000)
    window.qtbot.waitUntil(lambda: not window.jobs.in_background, timeout=5000)
    assert [step.text() for step in window.case.edits.steps()] == ["Fourth"]


def test_an_edit_that_fails_does_not_stop_those_after_it(window: WindowFixture):
    def fail(*_: object) -> Voxels:
        raise InputError("There is no slice to interpolate. Draw two.")

    window.open()
    for name, compute in (("Interpolate", fail), ("Paint", one_more)):
        window.case.request_edit(name, compute)
    window.qtbot.waitUntil(lambda: window.case.edits.stack.count() == 1, timeout=5000)
