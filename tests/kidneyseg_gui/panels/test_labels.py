from __future__ import annotations

import pytest
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog
from pytestqt.qtbot import QtBot

from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg_gui.case import Case
from kidneyseg_gui.panels.labels import LabelsPanel


@pytest.fixture
def panel(qtbot: QtBot) -> LabelsPanel:
    made = LabelsPanel(Case())
    qtbot.addWidget(made)
    return made


def test_fields_change_the_overlay(panel: LabelsPanel):
    case = panel._case
    panel.opacity.setValue(70)
    panel.filled.click()
    panel.outlined.click()
    panel.eyes[TUMOUR].click()
    panel.shown.click()
    overlay = case.overlay
    assert (overlay.opacity, overlay.filled, overlay.outlined, overlay.shown) == (0.7, False, False, False)
    assert not overlay.style(TUMOUR).visible
    assert overlay.style(KIDNEY).visible


def test_fields_show_the_overlay(panel: LabelsPanel):
    case = panel._case
    case.set_overlay(case.overlay.with_label(KIDNEY, visible=False, colour=(1, 2, 3)))
    assert not panel.eyes[KIDNEY].isChecked()
    colour = panel.swatches[KIDNEY].icon().pixmap(16, 16).toImage().pixelColor(8, 8)
    assert (colour.red(), colour.green(), colour.blue()) == (1, 2, 3)


def test_a_colour_is_chosen_or_kept(panel: LabelsPanel, monkeypatch: pytest.MonkeyPatch):
    case = panel._case
    before = case.overlay
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_args: QColor())  # the dialog was cancelled
    panel.swatches[KIDNEY].click()
    assert case.overlay == before
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_args: QColor(9, 8, 7))
    panel.swatches[KIDNEY].click()
    assert case.overlay == before.with_label(KIDNEY, colour=(9, 8, 7))
