"""What the window asks of the engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fakes import FakePipeline, make_volume
from kidneyseg.editing import Voxels
from kidneyseg.errors import InputError
from kidneyseg.settings import preset
from kidneyseg_gui.worker import without_mask
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_a_result_for_the_undo_stack_holds_no_mask():
    volume = make_volume()
    result = FakePipeline(volume).run(preset("default"))
    lean = without_mask(result)
    assert lean.mask.shape == volume.shape
    assert not lean.mask.any()
    assert lean.mask.base.nbytes == 1
    assert lean.settings == result.settings
    assert result.mask.any()


def test_an_edit_while_the_networks_run_is_kept(make_window: MakeWindow):
    window = make_window(seconds=0.5)
    window.open()
    window.main.controller.segment()
    window.qtbot.waitUntil(lambda: bool(window.fake.pipelines and window.fake.pipelines[0].runs), timeout=5000)
    index = np.flatnonzero((window.case.volume.hu > 120).reshape(-1, order="F"))[:30].astype(np.uint32)
    window.case.edits.paint("Paint", Voxels(index, np.full(30, 3, np.uint8)))
    window.idle()
    flat = window.case.mask.reshape(-1, order="F")
    assert (flat[index] == 3).all()
    expected = FakePipeline(window.case.volume).run(preset("default")).mask.reshape(-1, order="F")
    others = np.ones(len(flat), np.bool_)
    others[index] = False
    np.testing.assert_array_equal(flat[others], expected[others])
    assert "30 voxels that you edited were kept" in window.notices()


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


def test_findings_and_scene_follow_an_edit_and_not_one_of_another_case(window: WindowFixture):
    window.open("first.nii")
    window.segment()
    old = window.case.edits.mask
    findings = window.case.findings
    index = np.flatnonzero((window.case.mask == 2).reshape(-1, order="F")).astype(np.uint32)
    window.case.edits.paint("Erase", Voxels(index, np.zeros(len(index), np.uint8)))
    window.qtbot.waitUntil(
        lambda: window.case.findings.tumour_ml == 0 and 2 not in window.case.scene.surfaces, timeout=5000
    )
    assert findings.tumour_ml > 0
    window.case.mark_saved()
    window.open("second.nii")
    window.jobs.measured.emit(old, findings)
    assert window.case.findings is None
