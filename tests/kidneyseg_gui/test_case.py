from __future__ import annotations

from dataclasses import replace

import numpy as np
from pytestqt.qtbot import QtBot

from fakes import FakePipeline, make_volume
from kidneyseg.editing import Voxels
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.settings import preset
from kidneyseg_gui.case import Case
from kidneyseg_gui.display import Overlay


def segmented(**settings: dict[str, object]) -> Case:
    case = Case()
    volume = make_volume()
    case.open(volume)
    case.set_result(FakePipeline(volume).run(preset("default").with_(**settings)), "auto")
    return case


def test_opening_puts_the_crosshair_in_the_middle_and_drops_the_result(qtbot: QtBot):
    case = segmented()
    with qtbot.waitSignals([case.volume_changed, case.result_changed, case.crosshair_changed]):
        case.open(make_volume((10, 20, 30)))
    assert case.crosshair == (5, 10, 15)
    assert case.result is None
    assert case.mask is None
    assert not case.dirty


def test_another_ct_shows_what_was_hidden_on_the_one_before(qtbot: QtBot):
    case = segmented()
    case.set_overlay(replace(case.overlay, shown=False, opacity=0.9).with_label(TUMOUR, visible=False))
    with qtbot.waitSignal(case.overlay_changed):
        case.open(make_volume((10, 20, 30)))
    assert case.overlay == replace(Overlay(), opacity=0.9)


def test_crosshair_stays_inside(qtbot: QtBot):
    case = Case()
    case.open(make_volume((10, 20, 30)))
    case.set_crosshair((-5, 7, 99))
    assert case.crosshair == (0, 7, 29)
    with qtbot.assertNotEmitted(case.crosshair_changed):
        case.step(2, 1)


def test_signals_come_only_with_changes(qtbot: QtBot):
    case = Case()
    with qtbot.assertNotEmitted(case.window_changed), qtbot.assertNotEmitted(case.overlay_changed):
        case.set_window(*case.window)
        case.set_overlay(Overlay())
    with qtbot.waitSignal(case.window_changed):
        case.set_window(1400, -500)
    with qtbot.waitSignal(case.overlay_changed):
        case.toggle_overlay()


def test_a_label_changes_alone():
    overlay = Overlay().with_label(TUMOUR, visible=False)
    assert not overlay.style(TUMOUR).visible
    assert overlay.style(KIDNEY) == Overlay().style(KIDNEY)


def test_only_network_settings_ask_for_a_new_segmentation():
    case = segmented()
    assert not case.needs_network
    case.set_settings(case.settings.with_(clusters={"eps_mm": 9.0}, fill={"algorithm": "hull"}))
    assert not case.needs_network
    case.set_settings(case.settings.with_(sampling={"kept_percent": 33.0}))
    assert case.needs_network


def test_another_device_asks_for_a_new_segmentation():
    case = segmented()
    case.set_device("cpu")
    assert case.needs_network


def test_quick_update_keeps_the_results_network_settings():
    case = segmented()
    assert case.quick_update is None
    kept = case.result.settings.sampling
    case.set_settings(case.settings.with_(sampling={"kept_percent": 33.0}, clusters={"eps_mm": 9.0}))
    update = case.quick_update
    assert update is not None
    assert update.sampling == kept
    assert update.clusters.eps_mm == 9.0
    assert update == replace(case.result.settings, clusters=case.settings.clusters)


def test_a_result_of_another_method_is_not_updated():
    case = segmented()
    case.set_settings(preset("paper"))
    assert case.quick_update is None
    assert case.needs_network
    case.set_settings(preset("default").with_(fill={"closing_mm": 3.0}))
    assert case.quick_update is not None
    assert not case.needs_network


def test_the_same_result_once_more_stays_saved(qtbot: QtBot):
    case = segmented()
    case.mark_saved()
    result = case.result
    case.set_result(result, "auto")
    case.set_result(replace(result, mask=result.mask.copy()), "auto")
    assert not case.dirty
    for changed in (
        {"mask": np.roll(result.mask, 1, axis=0)},
        {"settings": preset("default").with_(fill={"closing_mm": 3.0})},
    ):
        case.set_result(result, "auto")
        case.mark_saved()
        case.set_result(replace(result, **changed), "auto")
        assert case.dirty


def test_an_empty_mask_is_not_unsaved(qtbot: QtBot):
    case = segmented()
    case.set_result(replace(case.result, mask=np.zeros_like(case.mask)), "auto")
    assert not case.dirty


def test_a_mask_that_was_emptied_by_hand_is_unsaved(qtbot: QtBot):
    case = segmented()
    case.mark_saved()
    index = np.flatnonzero(case.mask.reshape(-1, order="F")).astype(np.uint32)
    case.edits.paint("Delete", Voxels(index, np.zeros(len(index), np.uint8)))
    assert not case.mask.any()
    assert case.dirty


def test_a_result_is_unsaved_until_it_is_saved(qtbot: QtBot):
    case = segmented()
    assert case.dirty
    with qtbot.waitSignal(case.dirty_changed):
        case.mark_saved()
    assert not case.dirty
