from __future__ import annotations

from collections.abc import Callable

from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


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
