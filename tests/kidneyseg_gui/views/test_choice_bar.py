from __future__ import annotations

from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from kidneyseg_gui.views.choice_bar import ChoiceBar


def test_where_the_row_does_not_fit_a_menu_takes_its_place(qtbot: QtBot):
    chosen: list[str] = []
    pane = QWidget()
    qtbot.addWidget(pane)
    bar = ChoiceBar([("a", "Alpha", "the first"), ("b", "Beta", "the second")], chosen.append)
    bar.setParent(pane)
    bar.show_choice("a")
    bar.enable("b", False)
    pane.show()
    bar.resize(bar.sizeHint())
    assert [button.isVisible() for button in bar.buttons.values()] == [True, True]
    assert bar.buttons["a"].isChecked()
    assert not bar.buttons["b"].isEnabled()
    bar.resize(bar.minimumSizeHint())
    assert not any(button.isVisible() for button in bar.buttons.values())
    assert (bar._only.isVisible(), bar._only.text()) == (True, "Alpha")
    bar.enable("b", True)
    bar._only.menu().actions()[1].trigger()
    bar.buttons["a"].click()
    assert chosen == ["b", "a"]
