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
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_segmenting_shows_mask_findings_and_scene(window: WindowFixture):
    window.open()
    window.segment()
    assert set(window.case.mask.ravel()) == {0, 1, 2}
    table = window.main.findings.table
    assert [table.item(row, 0).text() for row in range(table.rowCount())] == ["Kidney", "Kidney", "Tumour"]
    assert table.item(2, 3).text() == "21 mm"
    scene, shown, colours = window.cloud.shown
    assert shown == "surface"
    assert set(scene.surfaces) == {1, 2}
    assert set(colours) == {0, 1, 2}
    assert window.main.isWindowModified()
    assert window.main.actions_.export.isEnabled()


def test_the_first_result_takes_an_unmoved_crosshair_to_what_was_found(window: WindowFixture):
    window.open()
    middle = window.case.crosshair
    window.segment()
    assert window.case.mask[window.case.crosshair] == 2
    window.case.set_crosshair(middle)
    window.case.set_settings(window.case.settings.with_(fill={"method": "hull"}))
    window.segment()
    assert window.case.crosshair == middle  # the user has been there; a changed result moves nothing

    window.open("case_8.nii.gz")
    window.case.set_crosshair((1, 2, 3))
    window.segment()
    assert window.case.crosshair == (1, 2, 3)


def test_without_a_tumour_the_larger_kidney_is_looked_at_first():
    volume = make_volume()
    result = FakePipeline(volume).run(preset("default"))
    mask = (result.mask > 0).astype(np.uint8)
    mask[:24, :, :12] = 0
    assert build_scene(replace(result, mask=mask), volume, Progress()).focus == pytest.approx((34, 16, 12), abs=1)
    assert build_scene(replace(result, mask=np.zeros_like(mask)), volume, Progress()).focus is None


def test_a_click_on_a_tumour_takes_the_crosshair_there(window: WindowFixture):
    window.open()
    window.segment()
    window.case.set_crosshair((1, 2, 3))
    table = window.main.findings.table
    table.itemClicked.emit(table.item(2, 0))
    assert window.case.mask[window.case.crosshair] == 2


def test_the_findings_can_be_copied(window: WindowFixture):
    window.open()
    window.segment()
    window.main.findings.copy_table()
    lines = QGuiApplication.clipboard().text().splitlines()
    assert len(lines) == 3
    assert lines[0].split("\t")[:2] == ["Kidney", "Right"]


def test_notes_of_the_result_are_shown(make_window: MakeWindow):
    window = make_window(notes=("No kidneys were found on this CT.",))
    window.open()
    window.segment()
    assert "No kidneys were found" in window.said()


def test_progress_shows_stage_percent_and_time_left(make_window: MakeWindow):
    window = make_window(seconds=2.5)
    window.open()
    window.main.controller.segment()
    panel = window.main.run_panel
    assert panel.button.text() == "Cancel"
    window.qtbot.waitUntil(lambda: "%" in panel.stage.text() and "left" in panel.left.text(), timeout=5000)
    assert panel.bar.value() > 0
    window.idle()
    assert panel.button.text() == "Segment"


@pytest.mark.parametrize("deaf", [False, True], ids=["listening", "deaf"])
def test_cancel_answers_within_a_second_and_keeps_the_result(make_window: MakeWindow, deaf: bool):
    window = make_window()
    window.open()
    window.segment()
    before = window.case.result
    window.fake.pipelines[-1].seconds, window.fake.pipelines[-1].deaf = 3.0, deaf
    window.case.set_settings(window.case.settings.with_(sampling={"kept_percent": 12.0}))
    window.main.controller.segment()
    window.qtbot.wait(150)
    began = time.monotonic()
    with window.qtbot.waitSignal(window.jobs.cancelled, timeout=5000):
        window.main.run_panel.button.click()
    assert time.monotonic() - began < 1.0
    assert "cancelled" in window.said()
    assert window.case.result is before
    assert not window.jobs.busy
    if deaf:  # what the abandoned run still brings is dropped
        window.qtbot.wait(3300)
        assert window.case.result is before


def test_the_window_stays_alive_while_the_engine_works(make_window: MakeWindow):
    window = make_window(seconds=1.5)
    window.open()
    beats: list[float] = []
    pulse = QTimer(interval=10)
    pulse.timeout.connect(lambda: beats.append(time.perf_counter()))
    window.main.controller.segment()
    window.qtbot.wait(100)
    pulse.start()
    window.qtbot.wait(1200)
    pulse.stop()
    gaps = sorted(b - a for a, b in pairwise(beats))
    # A busy machine may hold up single beats; a window that waits for its engine would miss nearly all of them.
    assert gaps[len(gaps) * 9 // 10] < 0.1


def test_fields_write_settings_and_show_them(window: WindowFixture):
    panel, case = window.main.parameters, window.case
    panel.kept.setValue(42)
    panel.eps.setValue(7.5)
    panel.auto.setChecked(True)
    panel.fill.setCurrentIndex(panel.fill.findData("hull"))
    panel.fill.activated.emit(panel.fill.currentIndex())
    assert case.settings.sampling.kept_percent == 42
    assert case.settings.clusters.eps_mm == 7.5
    assert case.settings.clusters.min_samples is None
    assert case.settings.fill.method == "hull"
    assert not panel.closing.isEnabled()
    assert panel.kept_slider.value() == 42
    panel.preset.setCurrentIndex(panel.preset.findData("paper"))
    panel.preset.activated.emit(panel.preset.currentIndex())
    assert case.settings.preset == "paper"
    assert panel.kept.value() == round(case.settings.sampling.kept_percent)


def test_a_changed_fill_updates_the_mask_without_a_network(window: WindowFixture):
    window.open()
    window.segment()
    pipeline = window.fake.pipelines[0]
    filled = int((window.case.mask > 0).sum())
    with window.qtbot.waitSignal(window.case.result_changed, timeout=2000):
        window.case.set_settings(window.case.settings.with_(fill={"method": "hull"}))
    assert int((window.case.mask > 0).sum()) < filled
    assert pipeline.network_runs == 1
    assert len(window.fake.pipelines) == 1


def test_quick_changes_are_gathered_into_one_update(window: WindowFixture):
    window.open()
    window.segment()
    for eps in (6, 7, 8, 9, 10):
        window.main.parameters.eps.setValue(eps)
    with window.qtbot.waitSignal(window.case.result_changed, timeout=2000):
        pass
    assert [run.clusters.eps_mm for run in window.fake.pipelines[0].runs[1:]] == [10]


def test_a_network_setting_asks_for_a_new_segmentation_and_starts_none(window: WindowFixture):
    window.open()
    window.segment()
    window.main.parameters.kept.setValue(33)
    window.qtbot.wait(500)
    assert len(window.fake.pipelines[0].runs) == 1
    assert window.main.run_panel.button.text() == "Segment again"
    window.main.parameters.eps.setValue(9)  # still updates, with the networks' settings of the result
    with window.qtbot.waitSignal(window.case.result_changed, timeout=2000):
        pass
    assert window.fake.pipelines[0].network_runs == 1
    window.segment()
    assert window.fake.pipelines[0].network_runs == 2
    assert window.main.run_panel.button.text() == "Segment"


def test_a_change_during_a_run_is_caught_up_with(make_window: MakeWindow):
    window = make_window(seconds=0.6)
    window.open()
    window.main.controller.segment()
    window.qtbot.wait(50)
    window.case.set_settings(window.case.settings.with_(fill={"closing_mm": 5.0}))
    window.qtbot.waitUntil(
        lambda: window.case.result is not None and window.case.result.settings.fill.closing_mm == 5.0, timeout=5000
    )
    assert window.fake.pipelines[0].network_runs == 1


def test_a_scene_of_a_case_that_has_gone_is_not_shown(window: WindowFixture):
    window.open("first.nii")
    window.segment()
    late = window.case.scene
    window.case.mark_saved()
    window.open("second.nii")
    window.jobs.scene_ready.emit(late)
    assert window.case.scene is None


def test_the_3d_pane_follows_its_buttons_and_the_labels(window: WindowFixture):
    window.open()
    window.segment()
    window.main.quad.cloud.buttons["objects"].click()
    assert window.cloud.shown[1] == "objects"
    assert set(window.cloud.shown[0].clouds["objects"]) == {1, 2}
    window.case.set_overlay(window.case.overlay.with_label(2, visible=False))
    assert 2 not in window.cloud.shown[2]
    window.case.set_crosshair((1, 2, 3))
    window.qtbot.waitUntil(lambda: window.cloud.crosshair == (3.0, 5.0, 17.5), timeout=1000)


def test_surfaces_lie_where_the_mask_lies(window: WindowFixture):
    window.open()
    window.segment()
    low_high = window.case.scene.surfaces[1].GetBounds()
    filled = (window.case.mask > 0).nonzero()
    for axis, step in enumerate(window.case.volume.spacing_mm):
        assert low_high[2 * axis] == pytest.approx(filled[axis].min() * step, abs=2.5)
        assert low_high[2 * axis + 1] == pytest.approx((filled[axis].max() + 1) * step, abs=2.5)


def test_export_proposes_a_name_writes_and_says_where(window: WindowFixture):
    window.open("case_7.nii.gz")
    window.segment()
    target = window.folder / "mask.nii.gz"
    window.answers.path = target
    with window.qtbot.waitSignal(window.jobs.exported, timeout=5000):
        window.main.actions_.export.trigger()
    assert window.answers.proposed == window.folder / "case_7_mask.nii.gz"
    assert target.read_bytes() == b"mask"
    assert str(target) in window.said()
    assert not window.main.isWindowModified()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OutputError("The disk is full."), "The disk is full."),
        (PermissionError(13, "Permission denied", "/x/mask.nii.gz"), "Permission denied: /x/mask.nii.gz"),
    ],
)
def test_an_export_that_fails_says_why_and_stays_unsaved(window: WindowFixture, error: Exception, words: str):
    window.open()
    window.segment()

    def fail(*_args: object) -> None:
        raise error

    window.jobs._services = replace(window.jobs._services, export=fail)
    window.answers.path = window.folder / "mask.nii.gz"
    window.main.controller.ask_export()
    window.idle()
    assert "not saved" in window.said()
    assert words in window.said()
    assert window.case.dirty


def test_nothing_is_exported_before_a_result(window: WindowFixture):
    window.open()
    assert not window.main.actions_.export.isEnabled()
