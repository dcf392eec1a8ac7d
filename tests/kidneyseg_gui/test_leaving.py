"""Leaving a case while it is edited: nothing is lost without a question."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from kidneyseg.editing import Voxels
from kidneyseg_gui.jobs import Job, JobKind
from window_fixture import WindowFixture


def paint(window: WindowFixture, label: int = 3) -> None:
    window.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, label, np.uint8)))


@pytest.fixture
def saved(window: WindowFixture) -> WindowFixture:
    """A window whose mask is saved, so that it may be left without a question."""
    window.open("first.nii")
    paint(window)
    window.case.mark_saved()
    return window


@pytest.mark.parametrize("go_on", [False, True])
def test_what_is_edited_while_another_ct_loads_is_asked_about(saved: WindowFixture, go_on: bool):
    saved.answers.go_on = go_on
    saved.main.controller.open(saved.file("second.nii"))
    assert not saved.answers.asked
    paint(saved, 2)
    saved.idle()
    assert saved.answers.asked == ["Open another CT? The mask has not been exported and would be lost."]
    assert saved.case.volume.name == ("second" if go_on else "first")
    assert (saved.case.mask is None) == go_on


def test_what_is_edited_while_a_case_is_recovered_is_asked_about(window: WindowFixture):
    window.open("first.nii")
    paint(window)
    window.main.autosave.flush()
    window.main.autosave.close(keep=True)
    window.open("second.nii")
    paint(window)
    window.case.mark_saved()
    window.answers.asked.clear()
    window.answers.go_on = False
    journal = next(path for path in (window.folder / "autosave").glob("*.autosave") if path != current(window))
    window.main.recovering.recover(journal)
    paint(window, 2)
    window.idle()
    assert len(window.answers.asked) == 1
    assert window.case.volume.name == "second"
    assert journal.exists()


def current(window: WindowFixture):
    return window.main.autosave._journal.path


def test_an_edit_that_is_being_computed_is_asked_about(saved: WindowFixture):
    go = threading.Event()
    saved.jobs.submit(Job(JobKind.EDIT, lambda _progress: go.wait(5)))
    saved.answers.go_on = False
    assert not saved.main.controller.may_close()
    assert saved.answers.asked == ["Close KidneySeg? A correction is still being computed and would be lost."]
    go.set()
    saved.qtbot.waitUntil(lambda: not saved.jobs.in_background, timeout=5000)
    assert saved.main.controller.may_close()


def test_undo_drops_an_edit_that_is_being_computed(saved: WindowFixture):
    go = threading.Event()

    def compute(_volume, _labels) -> Voxels:
        go.wait(5)
        return Voxels(np.array([100], np.uint32), np.array([2], np.uint8))

    saved.case.request_edit("Grow", compute)
    saved.case.edits.undo()
    go.set()
    saved.qtbot.waitUntil(lambda: not saved.jobs.in_background, timeout=5000)
    assert saved.case.edits.mask.count[2] == 0
    assert saved.case.edits.stack.canRedo()
