from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from fakes import make_volume
from kidneyseg_gui.case import Case
from kidneyseg_gui.slices import AXIAL
from kidneyseg_gui.views.pane import SlicePane


@pytest.fixture
def pane(qtbot: QtBot) -> SlicePane:
    made = SlicePane(Case(), AXIAL)
    qtbot.addWidget(made)
    return made


def test_the_slider_is_the_slice(pane: SlicePane):
    case = pane._case
    assert not pane.slider.isEnabled()
    case.open(make_volume((10, 20, 30)))
    assert pane.slider.isEnabled()
    assert pane._number.text() == "16 / 30"
    pane.slider.setValue(4)
    assert case.crosshair == (5, 10, 4)
    case.set_crosshair((0, 0, 29))
    assert pane.slider.value() == 29


def test_a_shorter_ct_opens_in_its_middle(pane: SlicePane):
    case = pane._case
    case.open(make_volume((10, 20, 30)))
    case.set_crosshair((0, 0, 29))
    case.open(make_volume((10, 20, 12)))  # the slider's old value no longer exists
    assert case.crosshair == (5, 10, 6)
    assert pane.slider.value() == 6


def test_the_maximise_button_tells_what_it_does(pane: SlicePane, qtbot: QtBot):
    assert "Fill the window with the Axial view" in pane._maximise.toolTip()
    pane.show_maximised(True)
    assert "Back to all four views" in pane._maximise.toolTip()
    with qtbot.waitSignal(pane.maximise_requested) as signal:
        pane._maximise.click()
    assert signal.args == ["Axial"]
