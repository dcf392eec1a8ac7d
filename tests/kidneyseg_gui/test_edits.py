"""The undo stack of the mask."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from fakes import FakePipeline, make_volume
from kidneyseg.editing import EditedMask, Voxels
from kidneyseg.editing.journal import UNDO_LIMIT
from kidneyseg.settings import preset
from kidneyseg_gui.case import Case
from kidneyseg_gui.edits import Edits, Origin

SHAPE = (20, 16, 12)


@pytest.fixture
def edits(qtbot: QtBot) -> Edits:
    made = Edits()
    made.start(SHAPE)
    return made


def voxels(start: int, count: int = 10, label: int = 1) -> Voxels:
    return Voxels(np.arange(start, start + count, dtype=np.uint32), np.full(count, label, np.uint8))


def test_each_edit_is_a_step_that_can_be_undone_and_redone(edits: Edits):
    for number in range(4):
        assert edits.paint(f"Edit {number}", voxels(100 * number))
    whole = edits.mask.labels.copy()
    for _ in range(4):
        edits.undo()
    assert not edits.mask.labels.any()
    assert not edits.mask.marks.any()
    for _ in range(4):
        edits.redo()
    np.testing.assert_array_equal(edits.mask.labels, whole)
    assert [step.text() for step in edits.steps()] == [f"Edit {number}" for number in range(4)]


def test_no_change_is_no_step(edits: Edits):
    edits.paint("Paint", voxels(0))
    assert not edits.paint("Paint", voxels(0))
    assert edits.stack.count() == 1


def test_a_stroke_is_one_step(edits: Edits):
    boxes = []
    edits.changed.connect(boxes.append)
    for start in (0, 5, 40):
        edits.stroke(voxels(start))
    assert edits.stack.count() == 0
    edits.finish_stroke("Paint tumour")
    assert len(boxes) == 3
    assert edits.stack.undoText() == "Paint tumour"
    assert edits.mask.count[1] == 25
    edits.undo()
    assert edits.mask.count[1] == 0
    edits.redo()
    assert edits.mask.count[1] == 25


def test_a_long_stroke_is_autosaved_in_steps(edits: Edits, monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr("kidneyseg_gui.edits.time.monotonic", lambda: now[0])
    for number in range(6):
        edits.stroke(voxels(20 * number))
        now[0] += 0.5
    assert edits.stack.count() == 1
    edits.finish_stroke()
    assert edits.stack.count() == 2
    for _ in range(2):
        edits.undo()
    assert edits.mask.count[1] == 0


def test_undo_ends_a_stroke_that_is_being_drawn(edits: Edits):
    edits.paint("First", voxels(0))
    edits.stroke(voxels(100))
    edits.undo()
    assert edits.mask.count[1] == 10
    assert edits.stack.count() == 2


def test_a_locked_label_stays(edits: Edits):
    edits.paint("Kidney", voxels(0))
    edits.set_locked(frozenset({1}))
    assert not edits.paint("Tumour", voxels(0, label=2))
    edits.set_locked(frozenset())
    assert edits.paint("Tumour", voxels(0, label=2))


def test_the_stack_forgets_the_oldest_of_many_steps(edits: Edits):
    for number in range(UNDO_LIMIT + 5):
        edits.paint("Paint", voxels(number * 3, 3))
    for _ in range(UNDO_LIMIT + 5):
        edits.undo()
    assert edits.mask.count[1] == 15


@pytest.fixture
def case(qtbot: QtBot) -> Case:
    made = Case()
    made.open(make_volume())
    made.set_result(FakePipeline(made.volume).run(preset("default")), "auto")
    return made


def test_a_second_result_keeps_what_was_made_by_hand_and_can_be_undone(case: Case):
    pipeline, edits = FakePipeline(case.volume), case.edits
    index = np.flatnonzero(case.mask.reshape(-1, order="F") == 1)[:50].astype(np.uint32)
    edits.paint("Erase", Voxels(index, np.zeros(50, np.uint8)))
    before, first = case.mask.copy(), case.result
    settings = preset("default").with_(fill={"algorithm": "hull"})
    case.set_settings(settings)
    case.set_result(pipeline.run(settings), "auto")
    assert not case.mask.reshape(-1, order="F")[index].any()
    assert case.mask.sum() < before.sum()
    edits.undo()
    np.testing.assert_array_equal(case.mask, before)
    assert case.result is first
    assert case.settings == preset("default")  # the panel shows what made the mask
    edits.redo()
    assert case.settings == settings
    assert case.result.settings == settings
    assert edits.discard()
    np.testing.assert_array_equal(case.mask, pipeline.run(settings).mask)
    edits.undo()
    assert edits.by_hand == 50


def test_the_same_result_again_is_no_step_and_leaves_a_saved_mask_saved(case: Case):
    case.mark_saved()
    case.set_result(FakePipeline(case.volume).run(preset("default")), "auto")
    assert case.edits.stack.count() == 1
    assert not case.dirty


def test_another_mask_begins_a_new_stack(edits: Edits):
    edits.paint("Paint", voxels(0))
    edits.set_locked(frozenset({1}))
    edits.start_from(EditedMask(np.ones(SHAPE, np.uint8)), Origin())
    assert edits.stack.count() == 0
    assert edits.locked == frozenset()
    assert edits.mask.labels.all()


def test_the_results_of_the_latest_segmentations_alone_are_kept(case: Case):
    pipeline, made, masks = FakePipeline(case.volume), [], []
    for number in range(15):
        settings = preset("default").with_(clusters={"eps_mm": 4.0 + number})
        case.set_settings(settings)
        result = pipeline.run(settings)
        result.mask[number, :, :] = 3
        case.set_result(result, "auto")
        made.append(weakref.ref(result))
        masks.append(case.mask.copy())
    del result
    assert [one() is not None for one in made] == [False] * 5 + [True] * 10
    for number in reversed(range(14)):
        case.edits.undo()
        np.testing.assert_array_equal(case.mask, masks[number])
        assert case.settings.clusters.eps_mm == 4.0 + number
        assert (case.result is not None) == (number >= 5)
    for _ in range(14):
        case.edits.redo()
    np.testing.assert_array_equal(case.mask, masks[-1])
    assert case.result is made[-1]()
