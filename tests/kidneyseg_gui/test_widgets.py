from __future__ import annotations

from PySide6.QtWidgets import QSizePolicy, QWidget
from pytestqt.qtbot import QtBot

from kidneyseg_gui.widgets import ElidedLabel, column, grid, hint, row, shortened, single_shot, tool_button


def test_a_single_shot_timer_calls_once_after_several_starts(qtbot: QtBot):
    parent = QWidget()
    qtbot.addWidget(parent)
    calls: list[int] = []
    timer = single_shot(parent, 30, lambda: calls.append(1))
    for _ in range(3):
        timer.start()
    qtbot.wait(150)
    assert calls == [1]


def test_layouts_fill_their_widget_with_the_spacing_given(qtbot: QtBot):
    for make in (row, column):
        parent = QWidget()
        qtbot.addWidget(parent)
        layout = make(parent, spacing=5, margins=(1, 2, 3, 4))
        assert parent.layout() is layout
        assert layout.spacing() == 5
        margins = layout.contentsMargins()
        assert (margins.left(), margins.top(), margins.right(), margins.bottom()) == (1, 2, 3, 4)
    table = grid(spacing=(6, 7))
    assert (table.horizontalSpacing(), table.verticalSpacing(), table.contentsMargins().top()) == (6, 7, 0)


def test_hints_wrap_and_buttons_say_what_they_do(qtbot: QtBot):
    text, button = hint("Words"), tool_button("reset", "Back", pixels=13)
    for widget in (text, button):
        qtbot.addWidget(widget)
    assert text.wordWrap()
    assert (button.toolTip(), button.iconSize().width(), button.icon().isNull()) == ("Back", 13, False)


def test_long_names_are_shortened_and_words_stay():
    text = "The mask is saved: /scans/" + "a" * 200 + "_mask.nii.gz"
    assert shortened(text) == "The mask is saved: /scans/aaaaaaaaaaaaaaaaaaaa…aaa_mask.nii.gz"
    assert shortened("/a/" * 40 + "short.nii.gz is not there.") == "/a/" * 40 + "short.nii.gz is not there."


def test_an_elided_label_needs_no_width_and_tells_all_in_its_tooltip(qtbot: QtBot):
    label = ElidedLabel()
    qtbot.addWidget(label)
    label.resize(150, 20)
    label.show()
    label.show_text("a" * 300)
    assert label.fontMetrics().horizontalAdvance(label.text()) <= 150
    assert label.toolTip() == "a" * 300
    narrow = len(label.text())
    label.resize(400, 20)
    assert len(label.text()) > narrow
    assert label.sizePolicy().horizontalPolicy() == QSizePolicy.Policy.Ignored
