"""The panel of tools."""

from __future__ import annotations

import pytest

from kidneyseg_gui.panels.correcting import TOOLS
from kidneyseg_gui.tools import Tool
from window_fixture import WindowFixture


def test_buttons_choose_the_tool_and_say_what_it_does(window: WindowFixture):
    panel = window.main.correcting
    for tool, button in panel.tools.items():
        button.click()
        assert window.case.tool.tool == tool
        assert panel.hint.text() == TOOLS[tool].hint
        assert TOOLS[tool].key in button.toolTip()


def test_options_go_to_the_case_and_come_from_it(window: WindowFixture):
    panel, case = window.main.correcting, window.case
    panel.tools[Tool.BRUSH].click()
    panel.labels[1].click()
    panel.radius.setValue(25)
    panel.ball.setChecked(True)
    panel.over.setCurrentIndex(1)
    panel.over.activated.emit(1)
    panel.low.setValue(120)
    panel.high.setValue(20)
    panel.ranged.setChecked(True)
    tool = case.tool
    assert (tool.label, tool.radius_mm, tool.ball) == (1, 12.5, True)
    assert (tool.over, tool.hu_range) == (frozenset({0}), (20, 120))
    case.set_tool(label=3, radius_mm=4.0, ball=False, over=None, hu_range=None)
    assert panel.labels[3].isChecked()
    assert panel.radius.value() == 8
    assert not panel.ball.isChecked()
    assert not panel.ranged.isChecked()
    assert panel.over.currentText() == "everything"


@pytest.mark.parametrize(
    ("tool", "sized", "labelled", "bounded"),
    [
        (Tool.POINTER, False, False, False),
        (Tool.CLICK, False, True, False),
        (Tool.BRUSH, True, True, True),
        (Tool.ERASER, True, False, True),
        (Tool.LASSO, False, True, True),
        (Tool.THRESHOLD, True, True, True),
        (Tool.PIECE, False, True, False),
    ],
)
def test_only_the_options_of_the_tool_are_shown(
    window: WindowFixture, tool: Tool, sized: bool, labelled: bool, bounded: bool
):
    panel = window.main.correcting
    window.case.set_tool(tool=tool)
    assert panel.radius.isVisibleTo(panel) == sized
    assert panel.labels[1].isVisibleTo(panel) == labelled
    assert panel.over.isVisibleTo(panel) == panel.ranged.isVisibleTo(panel) == bounded


def test_the_names_of_the_labels_are_not_cut_off(window: WindowFixture):
    window.case.set_tool(tool=Tool.BRUSH)
    window.qtbot.wait(50)
    for button in window.main.correcting.labels.values():
        assert button.width() >= button.sizeHint().width()
