"""The Edit menu."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.editing import Voxels
from window_fixture import WindowFixture


def test_undo_and_redo_name_the_step(window: WindowFixture):
    edit = window.main.actions_.edit
    assert not edit.undo.isEnabled()
    window.open()
    window.segment()
    assert edit.undo.text() == "&Undo segment"
    edit.undo.trigger()
    assert not window.case.mask.any()
    assert (edit.undo.isEnabled(), edit.redo.text()) == (False, "&Redo segment")
    edit.redo.trigger()
    assert window.case.mask.any()


def test_my_edits_can_be_discarded_and_brought_back(window: WindowFixture):
    edit = window.main.actions_.edit
    window.open()
    window.segment()
    before = window.case.mask.copy()
    assert not edit.discard.isEnabled()
    window.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))
    edit.discard.trigger()
    np.testing.assert_array_equal(window.case.mask, before)
    edit.undo.trigger()
    assert window.case.edits.mask.count[3] == 9


@pytest.mark.parametrize(("number", "text"), list(enumerate(["Fill", "Smooth", "Grow", "Shrink", "Interpolate"])))
def test_the_whole_label_is_edited(window: WindowFixture, number: int, text: str):
    window.open()
    window.segment()
    case = window.case
    case.set_tool(label=1)
    mask = case.mask.copy()
    hole = Voxels.of_box((slice(12, 14), slice(15, 17), slice(11, 13)), np.ones((2, 2, 2), np.bool_), 0, mask.shape)
    gap = Voxels.of_box((slice(0, 48), slice(0, 40), slice(8, 9)), mask[:, :, 8:9] > 0, 0, mask.shape)
    case.edits.paint("Erase", hole)
    case.edits.paint("Erase", gap)
    steps = case.edits.stack.count()
    action = window.main.actions_.edit.whole[number]
    assert text in action.text().replace("&", "")
    action.trigger()
    window.qtbot.waitUntil(lambda: case.edits.stack.count() > steps, timeout=5000)
    assert case.edits.stack.undoText().startswith(text)


def test_without_a_ct_nothing_can_be_edited(window: WindowFixture):
    edit = window.main.actions_.edit
    assert not any(action.isEnabled() for action in (*edit.tools.values(), edit.delete, *edit.whole))
    window.open()
    assert all(action.isEnabled() for action in edit.tools.values())
