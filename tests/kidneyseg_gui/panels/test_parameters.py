from __future__ import annotations

from collections.abc import Callable

from kidneyseg.models import Stage, load_model, model_name
from kidneyseg.settings import preset
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


def test_the_grid_is_that_of_the_bundled_network():
    assert load_model(model_name("default", Stage.STAGE2)).grid_mm == CELL_MM
