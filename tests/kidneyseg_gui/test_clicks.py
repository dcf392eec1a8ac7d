"""Click to fix, in the window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kidneyseg import editing
from kidneyseg.editing import Voxels
from kidneyseg.errors import InputError
from kidneyseg_gui.tools import Tool
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]
FIRST, SECOND = (10, 10, 5), (12, 10, 5)


@pytest.fixture
def clicked(window: WindowFixture, monkeypatch: pytest.MonkeyPatch) -> WindowFixture:
    """A window whose clicks label their own voxel, and of several clicks only the latest and a voxel between."""

    def fix(volume, labels, evidence, clicks):
        seen.append((labels.copy(), tuple(one.voxel for one in clicks)))
        out = np.zeros(labels.shape, np.bool_)
        out[clicks[-1].voxel] = out[11, 10, 5] = True
        return Voxels.of_box(tuple(slice(0, n) for n in labels.shape), out, 2, labels.shape)

    seen: list = []
    window.seen = seen  # type: ignore[attr-defined]
    monkeypatch.setattr(editing, "fix", fix)
    window.open()
    window.segment()
    window.case.set_tool(tool=Tool.CLICK, label=2)
    return window


def wait_for_steps(window: WindowFixture, count: int) -> None:
    window.qtbot.waitUntil(lambda: window.case.edits.stack.index() == count, timeout=5000)


def wait_for_background(window: WindowFixture) -> None:
    window.qtbot.waitUntil(lambda: not window.jobs.in_background, timeout=5000)


def test_a_further_click_refines_what_the_first_gave(clicked: WindowFixture):
    before = clicked.case.mask.copy()
    clicked.case.request_click(FIRST, 2)
    wait_for_steps(clicked, 2)
    assert clicked.case.mask[FIRST] == 2
    clicked.case.request_click(SECOND, 2)
    wait_for_steps(clicked, 3)
    assert clicked.case.mask[SECOND] == 2
    assert clicked.case.mask[FIRST] == before[FIRST]  # the second answer leaves it out
    assert clicked.case.edits.mask.marks[FIRST] == 0
    for labels, _clicks in clicked.seen:  # both were computed for the mask before the first click
        np.testing.assert_array_equal(labels, before)
    assert [clicks for _labels, clicks in clicked.seen] == [(FIRST,), (FIRST, SECOND)]


def test_undo_takes_a_click_back(clicked: WindowFixture):
    clicked.case.request_click(FIRST, 2)
    wait_for_steps(clicked, 2)
    clicked.case.request_click(SECOND, 2)
    wait_for_steps(clicked, 3)
    clicked.case.edits.undo()
    assert clicked.case.mask[FIRST] == 2
    third = (30, 30, 3)
    clicked.case.request_click(third, 2)
    wait_for_steps(clicked, 3)
    assert clicked.seen[-1][1] == (FIRST, third)


def test_clicks_wait_for_each_other(clicked: WindowFixture):
    clicked.case.request_click(FIRST, 2)
    clicked.case.request_click(SECOND, 2)
    wait_for_steps(clicked, 3)
    assert [clicks for _labels, clicks in clicked.seen] == [(FIRST,), (FIRST, SECOND)]


@pytest.mark.parametrize("ending", ["edit", "tool"])
def test_another_edit_or_tool_ends_the_session(clicked: WindowFixture, ending: str):
    clicked.case.request_click(FIRST, 2)
    wait_for_steps(clicked, 2)
    if ending == "edit":
        clicked.case.edits.paint("Paint", Voxels(np.zeros(1, np.uint32), np.ones(1, np.uint8)))
    else:
        clicked.case.set_tool(tool=Tool.BRUSH)
    count = clicked.case.edits.stack.count()
    clicked.case.request_click(SECOND, 2)
    wait_for_steps(clicked, count + 1)
    assert clicked.seen[-1][1] == (SECOND,)
    assert clicked.case.mask[FIRST] == 2


def test_a_click_after_undo_and_redo_of_another_edit_leaves_that_edit_as_it_is(clicked: WindowFixture):
    case, edits = clicked.case, clicked.case.edits
    case.request_click(FIRST, 2)
    wait_for_steps(clicked, 2)
    index = np.ravel_multi_index(FIRST, case.mask.shape, order="F")
    edits.paint("Paint", Voxels(np.array([index], np.uint32), np.array([3], np.uint8)))
    for do in (edits.undo, edits.undo, edits.redo, edits.redo):
        do()
    before = case.mask.copy()
    assert before[FIRST] == 3
    case.request_click(SECOND, 2)
    wait_for_steps(clicked, 4)
    assert case.mask[FIRST] == 3
    edits.undo()
    np.testing.assert_array_equal(case.mask, before)
    assert edits.mask.count[2] == (before == 2).sum()


def test_a_click_lands_though_another_tool_is_chosen_meanwhile(clicked: WindowFixture):
    clicked.case.request_click(FIRST, 2)
    clicked.case.set_tool(tool=Tool.BRUSH)
    wait_for_steps(clicked, 2)
    assert clicked.case.mask[FIRST] == 2


def test_a_click_lands_on_an_edit_that_was_quicker(clicked: WindowFixture):
    case, edits = clicked.case, clicked.case.edits
    case.request_click(FIRST, 2)
    wait_for_steps(clicked, 2)
    case.request_click(SECOND, 2)
    edits.stroke(Voxels(np.zeros(1, np.uint32), np.full(1, 3, np.uint8)))  # not ended when the click is answered
    wait_for_steps(clicked, 4)
    assert [case.mask[0, 0, 0], case.mask[FIRST], case.mask[SECOND]] == [3, 2, 2]
    assert clicked.seen[-1][1] == (SECOND,)


def test_undo_drops_the_clicks_that_are_not_answered_yet(clicked: WindowFixture):
    case, edits = clicked.case, clicked.case.edits
    case.request_click(FIRST, 2)
    wait_for_steps(clicked, 2)
    before = case.mask.copy()
    case.request_click(SECOND, 2)
    edits.undo()
    edits.redo()
    wait_for_background(clicked)
    assert edits.stack.count() == 2
    np.testing.assert_array_equal(case.mask, before)


def test_a_click_that_failed_keeps_no_other_waiting(clicked: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    def fail(*_):
        raise InputError("It does not work here.")

    with monkeypatch.context() as patched:
        patched.setattr(editing, "fix", fail)
        clicked.case.request_click(FIRST, 2)
        wait_for_background(clicked)
    clicked.case.request_click(SECOND, 2)
    wait_for_steps(clicked, 2)
    assert clicked.case.mask[SECOND] == 2
