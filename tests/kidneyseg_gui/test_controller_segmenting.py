from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kidneyseg.settings import preset
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_segmenting_shows_mask_findings_and_scene(window: WindowFixture):
    window.open()
    window.segment()
    assert set(window.case.mask.ravel()) == {0, 1, 2}
    table = window.main.findings.table
    assert [table.item(row, 0).text() for row in range(table.rowCount())] == ["Kidney", "Kidney", "Tumour"]
    assert table.item(2, 3).text() == "21"
    scene, shown, colours = window.cloud.shown
    assert shown == "surface"
    assert set(scene.surfaces) == {1, 2}
    assert set(colours) == {0, 1, 2, 3}
    assert window.main.isWindowModified()
    assert window.main.actions_.export.isEnabled()


def test_the_first_result_takes_an_unmoved_crosshair_to_what_was_found(window: WindowFixture):
    window.open()
    middle = window.case.crosshair
    window.segment()
    assert window.case.mask[window.case.crosshair] == 2
    window.case.set_crosshair(middle)
    window.case.set_settings(window.case.settings.with_(fill={"algorithm": "hull"}))
    window.segment()
    assert window.case.crosshair == middle  # the user has been there; a changed result moves nothing

    window.open("case_8.nii.gz")
    window.case.set_crosshair((1, 2, 3))
    window.segment()
    assert window.case.crosshair == (1, 2, 3)


def test_notes_of_the_result_are_shown(make_window: MakeWindow):
    window = make_window(notes=("No kidneys were found on this CT.",))
    window.open()
    window.segment()
    assert "No kidneys were found" in window.notices()


def test_a_changed_fill_updates_the_mask_without_a_network(window: WindowFixture):
    window.open()
    window.segment()
    pipeline = window.fake.pipelines[0]
    filled = int((window.case.mask > 0).sum())
    with window.qtbot.waitSignal(window.case.result_changed, timeout=2000):
        window.case.set_settings(window.case.settings.with_(fill={"algorithm": "hull"}))
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


def test_another_preset_leaves_the_result_until_segment_is_pressed(window: WindowFixture):
    window.open()
    window.segment()
    before, runs = window.case.result, window.fake.pipelines[0].runs
    window.main.parameters.preset.setCurrentText("Paper")
    window.main.parameters.preset.activated.emit(window.main.parameters.preset.currentIndex())
    window.main.parameters.eps.setValue(9)
    window.qtbot.wait(500)
    assert len(runs) == 1
    assert window.case.result is before
    assert window.main.run_panel.button.text() == "Segment again"
    window.segment()
    assert window.case.result.settings == preset("paper").with_(clusters={"eps_mm": 9.0})


def test_another_preset_chosen_during_a_run_does_not_reach_its_result(make_window: MakeWindow):
    window = make_window(seconds=0.4)
    window.open()
    window.main.controller.segment()
    window.case.set_settings(preset("paper"))
    window.idle()
    window.qtbot.wait(500)
    assert window.fake.pipelines[0].runs == [preset("default")]
    assert window.case.result.settings == preset("default")


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
    late, mask = window.case.scene, window.case.edits.mask
    window.case.mark_saved()
    window.open("second.nii")
    window.jobs.scene_ready.emit(mask, late)
    assert window.case.scene is None


def test_an_update_that_changes_no_voxel_leaves_the_mask(window: WindowFixture):
    window.open()
    window.segment()
    before = window.case.mask.copy()
    assert before.any()
    window.case.set_settings(window.case.settings.with_(clusters={"eps_mm": 6.0}))
    window.qtbot.waitUntil(lambda: window.case.result.settings.clusters.eps_mm == 6.0, timeout=5000)
    np.testing.assert_array_equal(window.case.mask, before)
