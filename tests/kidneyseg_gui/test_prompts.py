from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from kidneyseg_gui.files import SUFFIXES
from kidneyseg_gui.prompts import Prompts


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("a/m", "a/m.nii.gz"),
        ("a/m.nii", "a/m.nii"),
        ("a/m.nii.gz", "a/m.nii.gz"),
        ("a/m.1", "a/m.1.nii.gz"),
        ("a/M3.NII.GZ", "a/M3.NII.GZ"),
        ("a/M3.Nii", "a/M3.Nii"),
    ],
)
def test_a_masks_name_gets_a_suffix_where_it_has_none(
    parent: QWidget, monkeypatch: pytest.MonkeyPatch, chosen: str, expected: str
):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (chosen, ""))
    assert Prompts().save_mask(parent, Path("x")) == Path(expected)


def test_the_file_dialog_leaves_the_question_about_existing_files_to_the_controller(
    parent: QWidget, monkeypatch: pytest.MonkeyPatch
):
    options: list[QFileDialog.Option] = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (options.append(args[5]), ("m", ""))[1])
    Prompts().save_mask(parent, Path("x"))
    Prompts().save_settings(parent, Path("x"))
    assert options == [QFileDialog.Option.DontConfirmOverwrite] * 2


def test_a_file_question_that_is_cancelled_is_answered_with_none(parent: QWidget, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: ("", ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: ("", ""))
    prompts = Prompts()
    assert prompts.save_settings(parent, Path("x")) is None
    assert prompts.open_settings(parent, Path("x")) is None
    assert prompts.open_file(parent, Path("x")) is None


def test_the_files_that_can_be_dropped_can_be_chosen(parent: QWidget, monkeypatch: pytest.MonkeyPatch):
    filters: list[str] = []
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (filters.append(args[3]), ("", ""))[1])
    Prompts().open_file(parent, Path("x"))
    assert set(filters[0].partition("(")[2].partition(")")[0].split()) == {f"*{suffix}" for suffix in SUFFIXES}


@pytest.mark.parametrize("click", ["Open as mask", "Compare", "Cancel", None])
def test_one_of_some_answers_is_chosen(parent: QWidget, monkeypatch: pytest.MonkeyPatch, click: str | None):
    def answer_it(box: QMessageBox) -> None:
        buttons = {button.text().replace("&", ""): button for button in box.buttons()}
        (box.defaultButton() if click is None else buttons[click]).click()

    monkeypatch.setattr(QMessageBox, "exec", answer_it)
    expected = {"Cancel": None, None: "Open as mask"}.get(click, click)
    assert Prompts().choose(parent, "What?", "Both can be undone.", ("Open as mask", "Compare")) == expected


@pytest.mark.parametrize(("click", "answer"), [("Close", True), ("Stay", False), (None, False)])
def test_the_careful_answer_is_the_default(
    parent: QWidget, monkeypatch: pytest.MonkeyPatch, click: str | None, answer: bool
):
    def answer_it(box: QMessageBox) -> None:
        buttons = {button.text(): button for button in box.buttons()}
        (box.defaultButton() if click is None else buttons[click]).click()

    monkeypatch.setattr(QMessageBox, "exec", answer_it)
    assert Prompts().confirm(parent, "Close?", "Work is lost.", "Close", "Stay") is answer
