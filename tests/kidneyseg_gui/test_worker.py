"""What the window asks of the engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fakes import FakePipeline, make_volume
from kidneyseg.editing import EditedMask, Voxels
from kidneyseg.settings import preset
from kidneyseg_gui.jobs import JobKind
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
    assert "Your edits were kept: 30 voxels." in window.notices()


@pytest.mark.parametrize("strokes", [1, 3])
def test_the_window_never_computes_what_a_result_changes(
    make_window: MakeWindow, monkeypatch: pytest.MonkeyPatch, strokes: int
):
    window = make_window()
    window.open()
    threads, replaced = [], EditedMask.replaced

    def painted_meanwhile(own: EditedMask, *new: np.ndarray | None) -> object:
        threads.append(threading.current_thread())
        change = replaced(own, *new)
        if len(threads) <= strokes:  # before the window's thread gets the change
            own.apply(own.painted(Voxels(np.array([len(threads)], np.uint32), np.array([3], np.uint8))))
        return change

    monkeypatch.setattr(EditedMask, "replaced", painted_meanwhile)
    window.main.controller.segment()
    window.idle()
    assert len(threads) == strokes + 1
    assert threading.main_thread() not in threads
    assert window.case.edits.mask.count[3] == strokes
    expected = FakePipeline(window.case.volume).run(preset("default")).mask
    assert window.case.edits.mask.count[1] == np.count_nonzero(expected == 1)


def test_edits_and_what_follows_them_do_not_wait_for_the_networks(make_window: MakeWindow):
    window = make_window(seconds=20)
    window.open()
    window.main.controller.segment()
    window.qtbot.waitUntil(lambda: bool(window.fake.pipelines and window.fake.pipelines[0].runs), timeout=5000)
    window.case.request_edit("Edit", lambda *_: Voxels(np.arange(30, dtype=np.uint32), np.full(30, 2, np.uint8)))
    window.qtbot.waitUntil(lambda: window.case.findings is not None and window.case.scene is not None, timeout=5000)
    assert [step.text() for step in window.case.edits.steps()] == ["Edit"]
    assert window.jobs.busy == JobKind.SEGMENT
    window.main.controller.cancel()
    window.idle()
    assert window.case.edits.mask.count[2] == 30


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


def test_a_mask_that_is_opened_fits_what_is_painted_meanwhile(window: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    window.open()
    window.segment()
    mask, replaced = window.case.edits.mask, EditedMask.replaced
    labels = np.roll(mask.labels, 3, axis=0)
    index = np.flatnonzero(labels.reshape(-1, order="F"))[:40].astype(np.uint32)

    def paint_meanwhile(own: EditedMask, *new: np.ndarray | None) -> object:
        change = replaced(own, *new)
        if not own.by_hand[3]:
            own.apply(own.painted(Voxels(index, np.full(40, 3, np.uint8))))
        return change

    monkeypatch.setattr(EditedMask, "replaced", paint_meanwhile)
    known = {"labels": labels, "provenance": None, "settings": None, "stamp": None, "notes": (), "marks": None}
    opened = type("Opened", (), known)
    services = replace(window.jobs._services, open_mask=lambda _path, _volume: opened)
    window.jobs._services = services
    window.main.mask_files.open(window.file("mask.nii.gz"))
    window.idle()
    flat = window.case.mask.reshape(-1, order="F")
    assert (flat[index] == 3).all()
    assert dict(mask.count) == {label: int((flat == label).sum()) for label in (1, 2, 3)}


def test_the_working_thread_reads_copies_of_the_mask(window: WindowFixture):
    seen = []
    services = window.jobs._services

    def measure(labels: np.ndarray, *others: object) -> object:
        seen.append(labels)
        return services.measure(labels, *others)

    def scene(labels: np.ndarray, *others: object) -> object:
        seen.append(labels)
        return services.scene(labels, *others)

    def edit(_volume: object, labels: np.ndarray) -> Voxels:
        seen.append(labels)
        return Voxels(np.array([0], np.uint32), np.array([1], np.uint8))

    window.jobs._services = replace(services, measure=measure, scene=scene)
    window.open()
    window.segment()
    window.case.request_edit("Edit", edit)
    window.qtbot.waitUntil(lambda: len(seen) >= 5, timeout=5000)
    assert not any(np.shares_memory(labels, window.case.edits.mask.labels) for labels in seen)
