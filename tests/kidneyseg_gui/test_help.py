from __future__ import annotations

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDialog, QLabel

from kidneyseg import __version__
from kidneyseg_gui.help import show_about
from kidneyseg_gui.logs import log_folder
from window_fixture import WindowFixture


def test_the_list_of_shortcuts_names_those_of_all_actions(window: WindowFixture):
    window.main.actions_.help.trigger()
    dialog = window.main.findChild(QDialog)
    labels = dialog.findChildren(QLabel, "keys")
    listed = {key.replace(" ", "") for label in labels for key in label.text().split(",")}
    listed |= {"Ctrl+Shift+S", *(f"Alt+{n}" for n in range(1, 6))}  # "Ctrl + Shift + O, S" and "Alt + 1 … 5"
    every = {action.shortcut().toString() for action in window.main.findChildren(QAction)} - {"", "Ctrl+Q"}
    assert len(every) > 20
    assert every <= listed


def test_the_about_box_tells_version_purpose_and_log(window: WindowFixture):
    show_about(window.main)
    text = " ".join(label.text() for label in window.main.findChild(QDialog).findChildren(QLabel))
    assert __version__ in text
    assert "not a medical device" in text
    assert str(log_folder()) in text
