from __future__ import annotations

import pytest
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from kidneyseg_gui.drop_zone import DropZone


@pytest.mark.parametrize("good", [True, False])
def test_the_sheet_covers_the_window_and_shows_whether_a_drop_is_accepted(qtbot: QtBot, good: bool):
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(400, 300)
    zone = DropZone(window)
    assert zone.isHidden()
    zone.offer("Drop to open case.nii", good=good)
    assert not zone.isHidden()
    assert zone.geometry() == window.rect()
    picture = zone.grab().toImage()
    frame = [QColor(picture.pixelColor(x, 28)) for x in range(60, 340)]
    bluer = sum(colour.blue() > colour.red() + 60 for colour in frame)
    redder = sum(colour.red() > colour.blue() + 60 for colour in frame)
    assert (bluer > 60, redder > 60) == (good, not good)
