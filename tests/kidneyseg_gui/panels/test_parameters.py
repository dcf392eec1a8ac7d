from __future__ import annotations

from collections.abc import Callable

import pytest

from kidneyseg.models import Stage, load_model, model_name
from kidneyseg.settings import min_samples_of, preset
from kidneyseg_gui.panels.parameters import CELL_MM
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_fields_write_settings_and_show_them(window: WindowFixture):
    panel, case = window.main.parameters, window.case
    panel.kept.setValue(42)
    panel.eps.setValue(7.5)
    panel.fill.setCurrentIndex(panel.fill.findData("hull"))
    panel.fill.activated.emit(panel.fill.currentIndex())
    assert case.settings.sampling.kept_percent == 42
    assert case.settings.clusters.eps_mm == 7.5
    panel.share.setValue(40)
    assert case.settings.clusters.core_share == 0.4
    assert case.settings.fill.algorithm == "hull"
    assert not panel.closing.isEnabled()
    assert panel.kept_slider.value() == 42
    panel.preset.setCurrentIndex(panel.preset.findData("paper"))
    panel.preset.activated.emit(panel.preset.currentIndex())
    assert case.settings.method == "paper"
    assert panel.kept.value() == round(case.settings.sampling.kept_percent)


def test_the_core_share_is_shown_as_a_number_of_points(window: WindowFixture):
    panel = window.main.parameters
    assert panel.share.value() == 50
    assert panel.share_points.text() == "33 points"
    panel.eps.setValue(7.5)
    assert panel.share_points.text() == "111 points"
    panel.share.setValue(100)
    assert panel.share_points.text() == "221 points"


def test_each_method_shows_its_own_dbscan_settings(window: WindowFixture):
    panel, case = window.main.parameters, window.case
    assert panel.share.isVisible()
    assert not panel.samples.isVisible()
    case.set_settings(preset("paper"))
    assert not panel.share.isVisible()
    assert panel.samples.isVisible()
    assert panel.auto.isChecked()
    panel.auto.setChecked(False)
    panel.samples.setValue(12)
    assert case.settings.clusters.min_samples == 12


@pytest.mark.parametrize("there", [True, False])
def test_the_graphics_card_can_be_chosen_where_there_is_one(window: WindowFixture, there: bool):
    panel, case = window.main.parameters, window.case
    cuda = panel.device.model().item(panel.device.findData("cuda"))
    assert not cuda.isEnabled()
    assert "Looking" in cuda.toolTip()
    case.set_device("cuda")  # as an earlier run, on another computer, has saved it
    window.fake.cuda = there
    with window.qtbot.waitSignal(window.jobs.warmed_up, timeout=5000):
        window.jobs.warm_up()
    assert cuda.isEnabled() == there
    assert ("No CUDA" in cuda.toolTip()) != there
    assert case.device == ("cuda" if there else "auto")
    assert panel.device.currentData() == case.device


def test_the_grid_is_that_of_the_bundled_network():
    assert load_model(model_name("default", Stage.STAGE2)).grid_mm == CELL_MM


def test_the_points_of_the_core_share_are_those_of_the_results_grid(window: WindowFixture):
    panel = window.main.parameters
    before = panel.share_points.text()
    window.open()
    window.segment()
    cell = window.case.result.stage2.lattice.step_mm[0]
    window.case.set_settings(window.case.settings.with_(clusters={"eps_mm": 3 * cell}))
    assert panel.share_points.text() == f"{min_samples_of(window.case.settings.clusters, cell)} points"
    assert panel.share_points.text() != before
