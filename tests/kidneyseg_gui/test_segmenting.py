"""The window over a fake engine: segmenting, cancelling, changed settings, the 3-D pane, exporting."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication

from fakes import FakePipeline, make_volume
from kidneyseg.errors import OutputError
from kidneyseg.progress import Progress
from kidneyseg.settings import preset
from kidneyseg_gui.scene import build_scene
from window_fixture import Bench

MakeBench = Callable[..., Bench]


def test_segmenting_shows_mask_findings_and_scene(bench: Bench):
    bench.open()
    bench.segment()
    assert set(bench.case.mask.ravel()) == {0, 1, 2}
    table = bench.window.findings.table
    assert [table.item(row, 0).text() for row in range(table.rowCount())] == ["Kidney", "Kidney", "Tumour"]
    assert table.item(2, 3).text() == "21 mm"
    scene, shown, colours = bench.cloud.shown
    assert shown == "surface"
    assert set(scene.surfaces) == {1, 2}
    assert set(colours) == {0, 1, 2}
    assert bench.window.isWindowModified()
    assert bench.window.actions_.export.isEnabled()


def test_the_first_result_takes_an_unmoved_crosshair_to_what_was_found(bench: Bench):
    bench.open()
    middle = bench.case.crosshair
    bench.segment()
    assert bench.case.mask[bench.case.crosshair] == 2
    bench.case.set_crosshair(middle)
    bench.case.set_settings(bench.case.settings.with_(fill={"algorithm": "hull"}))
    bench.segment()
    assert bench.case.crosshair == middle  # the user has been there; a changed result moves nothing

    bench.open("case_8.nii.gz")
    bench.case.set_crosshair((1, 2, 3))
    bench.segment()
    assert bench.case.crosshair == (1, 2, 3)


def test_without_a_tumour_the_larger_kidney_is_looked_at_first():
    volume = make_volume()
    result = FakePipeline(volume).run(preset("default"))
    mask = (result.mask > 0).astype(np.uint8)
    mask[:24, :, :12] = 0
    assert build_scene(replace(result, mask=mask), volume, Progress()).focus == pytest.approx((34, 16, 12), abs=1)
    assert build_scene(replace(result, mask=np.zeros_like(mask)), volume, Progress()).focus is None


def test_a_click_on_a_tumour_takes_the_crosshair_there(bench: Bench):
    bench.open()
    bench.segment()
    bench.case.set_crosshair((1, 2, 3))
    table = bench.window.findings.table
    table.itemClicked.emit(table.item(2, 0))
    assert bench.case.mask[bench.case.crosshair] == 2


def test_the_findings_can_be_copied(bench: Bench):
    bench.open()
    bench.segment()
    bench.window.findings.copy_table()
    lines = QGuiApplication.clipboard().text().splitlines()
    assert len(lines) == 3
    assert lines[0].split("\t")[:2] == ["Kidney", "Right"]


def test_notes_of_the_result_are_shown(make_bench: MakeBench):
    bench = make_bench(notes=("No kidneys were found on this CT.",))
    bench.open()
    bench.segment()
    assert "No kidneys were found" in bench.said()


def test_progress_shows_stage_percent_and_time_left(make_bench: MakeBench):
    bench = make_bench(seconds=2.5)
    bench.open()
    bench.window.controller.segment()
    panel = bench.window.run_panel
    assert panel.button.text() == "Cancel"
    bench.qtbot.waitUntil(lambda: "%" in panel.stage.text() and "left" in panel.left.text(), timeout=5000)
    assert panel.bar.value() > 0
    bench.idle()
    assert panel.button.text() == "Segment"


@pytest.mark.parametrize("deaf", [False, True], ids=["listening", "deaf"])
def test_cancel_answers_within_a_second_and_keeps_the_result(make_bench: MakeBench, deaf: bool):
    bench = make_bench()
    bench.open()
    bench.segment()
    before = bench.case.result
    bench.fake.pipelines[-1].seconds, bench.fake.pipelines[-1].deaf = 3.0, deaf
    bench.case.set_settings(bench.case.settings.with_(sampling={"kept_percent": 12.0}))
    bench.window.controller.segment()
    bench.qtbot.wait(150)
    began = time.monotonic()
    with bench.qtbot.waitSignal(bench.engine.cancelled, timeout=5000):
        bench.window.run_panel.button.click()
    assert time.monotonic() - began < 1.0
    assert "cancelled" in bench.said()
    assert bench.case.result is before
    assert not bench.engine.busy
    if deaf:  # what the abandoned run still brings is dropped
        bench.qtbot.wait(3300)
        assert bench.case.result is before


def test_the_window_stays_alive_while_the_engine_works(make_bench: MakeBench):
    bench = make_bench(seconds=1.5)
    bench.open()
    beats: list[float] = []
    pulse = QTimer(interval=10)
    pulse.timeout.connect(lambda: beats.append(time.perf_counter()))
    bench.window.controller.segment()
    bench.qtbot.wait(100)
    pulse.start()
    bench.qtbot.wait(1200)
    pulse.stop()
    gaps = sorted(b - a for a, b in pairwise(beats))
    # A busy machine may hold up single beats; a window that waits for its engine would miss nearly all of them.
    assert gaps[len(gaps) * 9 // 10] < 0.1


def test_fields_write_settings_and_show_them(bench: Bench):
    panel, case = bench.window.parameters, bench.case
    panel.kept.setValue(42)
    panel.eps.setValue(7.5)
    panel.fill.setCurrentIndex(panel.fill.findData("hull"))
    panel.fill.activated.emit(panel.fill.currentIndex())
    assert case.settings.sampling.kept_percent == 42
    assert case.settings.clusters.eps_mm == 7.5
    assert panel.samples.value() == 111, "half a ball of 7.5 mm on cells of 2 mm"
    assert not panel.samples.isEnabled()
    assert case.settings.fill.algorithm == "hull"
    assert not panel.closing.isEnabled()
    assert panel.kept_slider.value() == 42
    panel.preset.setCurrentIndex(panel.preset.findData("paper"))
    panel.preset.activated.emit(panel.preset.currentIndex())
    assert case.settings.method == "paper"
    assert panel.kept.value() == round(case.settings.sampling.kept_percent)
    panel.auto.setChecked(False)
    panel.samples.setValue(12)
    assert case.settings.clusters.min_samples == 12


def test_a_changed_fill_updates_the_mask_without_a_network(bench: Bench):
    bench.open()
    bench.segment()
    pipeline = bench.fake.pipelines[0]
    filled = int((bench.case.mask > 0).sum())
    with bench.qtbot.waitSignal(bench.case.result_changed, timeout=2000):
        bench.case.set_settings(bench.case.settings.with_(fill={"algorithm": "hull"}))
    assert int((bench.case.mask > 0).sum()) < filled
    assert pipeline.network_runs == 1
    assert len(bench.fake.pipelines) == 1


def test_quick_changes_are_gathered_into_one_update(bench: Bench):
    bench.open()
    bench.segment()
    for eps in (6, 7, 8, 9, 10):
        bench.window.parameters.eps.setValue(eps)
    with bench.qtbot.waitSignal(bench.case.result_changed, timeout=2000):
        pass
    assert [run.clusters.eps_mm for run in bench.fake.pipelines[0].runs[1:]] == [10]


def test_a_network_setting_asks_for_a_new_segmentation_and_starts_none(bench: Bench):
    bench.open()
    bench.segment()
    bench.window.parameters.kept.setValue(33)
    bench.qtbot.wait(500)
    assert len(bench.fake.pipelines[0].runs) == 1
    assert bench.window.run_panel.button.text() == "Segment again"
    bench.window.parameters.eps.setValue(9)  # still updates, with the networks' settings of the result
    with bench.qtbot.waitSignal(bench.case.result_changed, timeout=2000):
        pass
    assert bench.fake.pipelines[0].network_runs == 1
    bench.segment()
    assert bench.fake.pipelines[0].network_runs == 2
    assert bench.window.run_panel.button.text() == "Segment"


def test_a_change_during_a_run_is_caught_up_with(make_bench: MakeBench):
    bench = make_bench(seconds=0.6)
    bench.open()
    bench.window.controller.segment()
    bench.qtbot.wait(50)
    bench.case.set_settings(bench.case.settings.with_(fill={"closing_mm": 5.0}))
    bench.qtbot.waitUntil(
        lambda: bench.case.result is not None and bench.case.result.settings.fill.closing_mm == 5.0, timeout=5000
    )
    assert bench.fake.pipelines[0].network_runs == 1


def test_a_scene_of_a_case_that_has_gone_is_not_shown(bench: Bench):
    bench.open("first.nii")
    bench.segment()
    late = bench.case.scene
    bench.case.mark_saved()
    bench.open("second.nii")
    bench.engine.scene_ready.emit(late)
    assert bench.case.scene is None


def test_the_3d_pane_follows_its_buttons_and_the_labels(bench: Bench):
    bench.open()
    bench.segment()
    bench.window.quad.cloud.buttons["objects"].click()
    assert bench.cloud.shown[1] == "objects"
    assert set(bench.cloud.shown[0].clouds["objects"]) == {1, 2}
    bench.case.set_overlay(bench.case.overlay.with_label(2, visible=False))
    assert 2 not in bench.cloud.shown[2]
    bench.case.set_crosshair((1, 2, 3))
    bench.qtbot.waitUntil(lambda: bench.cloud.crosshair == (3.0, 5.0, 17.5), timeout=1000)


def test_surfaces_lie_where_the_mask_lies(bench: Bench):
    bench.open()
    bench.segment()
    low_high = bench.case.scene.surfaces[1].GetBounds()
    filled = (bench.case.mask > 0).nonzero()
    for axis, step in enumerate(bench.case.volume.spacing_mm):
        assert low_high[2 * axis] == pytest.approx(filled[axis].min() * step, abs=2.5)
        assert low_high[2 * axis + 1] == pytest.approx((filled[axis].max() + 1) * step, abs=2.5)


def test_export_proposes_a_name_writes_and_says_where(bench: Bench):
    bench.open("case_7.nii.gz")
    bench.segment()
    target = bench.folder / "mask.nii.gz"
    bench.answers.path = target
    with bench.qtbot.waitSignal(bench.engine.exported, timeout=5000):
        bench.window.actions_.export.trigger()
    assert bench.answers.proposed == bench.folder / "case_7_mask.nii.gz"
    assert target.read_bytes() == b"mask"
    assert str(target) in bench.said()
    assert not bench.window.isWindowModified()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OutputError("The disk is full."), "The disk is full."),
        (PermissionError(13, "Permission denied", "/x/mask.nii.gz"), "Permission denied: /x/mask.nii.gz"),
    ],
)
def test_an_export_that_fails_says_why_and_stays_unsaved(bench: Bench, error: Exception, words: str):
    bench.open()
    bench.segment()

    def fail(*_args: object) -> None:
        raise error

    bench.engine._doors = replace(bench.engine._doors, export=fail)
    bench.answers.path = bench.folder / "mask.nii.gz"
    bench.window.controller.ask_export()
    bench.idle()
    assert "not saved" in bench.said()
    assert words in bench.said()
    assert bench.case.dirty


def test_nothing_is_exported_before_a_result(bench: Bench):
    bench.open()
    assert not bench.window.actions_.export.isEnabled()
