from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel, QPushButton

from kidneyseg.editing.compare import compare
from kidneyseg.findings.records import Flag
from kidneyseg_gui.case import Case
from kidneyseg_gui.comparing import Compare
from kidneyseg_gui.main_window import DISCLAIMER
from kidneyseg_gui.outcomes import Saved
from kidneyseg_gui.tools import Tool
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def mime_of(*paths: Path) -> QMimeData:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return mime


def hold_over(window: WindowFixture, mime: QMimeData) -> QDragEnterEvent:
    event = QDragEnterEvent(
        QPoint(90, 90), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(window.main, event)
    return event


def let_go(window: WindowFixture, mime: QMimeData) -> None:
    hold_over(window, mime)  # Qt sends a drop to whoever took the drag
    event = QDropEvent(
        QPointF(90, 90), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(window.main, event)


def test_a_dropped_ct_opens_after_a_highlight(window: WindowFixture):
    path = window.file("dropped.nii.gz")
    mime = mime_of(path)
    assert hold_over(window, mime).isAccepted()
    assert window.main._drop_zone.isVisible()
    with window.qtbot.waitSignal(window.case.volume_changed, timeout=5000):
        let_go(window, mime)
    assert not window.main._drop_zone.isVisible()
    assert window.case.volume.name == "dropped"


def test_the_highlight_goes_when_the_file_is_taken_away(window: WindowFixture):
    mime = mime_of(window.file())
    hold_over(window, mime)
    QApplication.sendEvent(window.main, QDragLeaveEvent())
    assert not window.main._drop_zone.isVisible()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.nii.gz", "b.nii.gz"], "one CT"),
        (["a.hdr", "b.img"], "one CT"),
        (["a.img", "a.img.gz"], "one CT"),
        (["report.pdf"], "report.pdf is not a NIfTI file"),
        (["scan.dcm"], "scan.dcm is not a NIfTI file"),
    ],
)
def test_a_drop_that_does_not_fit_is_answered_in_one_sentence(window: WindowFixture, names: list[str], words: str):
    window.open("first.nii")
    let_go(window, mime_of(*(window.file(name) for name in names)))
    assert words in window.notices()
    assert window.case.volume.name == "first"


def test_a_dropped_folder_and_dropped_text_are_answered(window: WindowFixture):
    let_go(window, mime_of(window.folder))
    assert "is a folder" in window.notices()
    text = QMimeData()
    text.setText("hello")
    assert not hold_over(window, text).isAccepted()


def test_closing_asks_for_an_unsaved_mask(window: WindowFixture):
    window.open()
    window.segment()
    window.answers.go_on = False
    assert not window.main.close()
    assert "not been exported" in window.answers.asked[-1]
    window.answers.go_on = True
    assert window.main.close()


def test_closing_asks_while_work_runs_and_then_stops_it(make_window: MakeWindow):
    window = make_window(seconds=5)
    window.open()
    window.main.controller.segment()
    window.qtbot.wait(100)
    began = time.monotonic()
    assert window.main.close()
    assert "still running" in window.answers.asked[-1]
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda case: case.set_settings(case.settings.with_(clusters={"eps_mm": 8.0})), "8.0"),
        (lambda case: case.set_overlay(replace(case.overlay, opacity=0.75)), "0.75"),
        (lambda case: case.set_window(1234, 5), "1234"),
        (lambda case: case.set_display(radiological=False), r"radiological\": false"),
        (lambda case: case.set_device("cpu"), "cpu"),
    ],
)
def test_a_changed_option_is_saved_soon(window: WindowFixture, change: Callable[[Case], None], words: str):
    assert window.main._save_soon.interval() == 1000
    window.main._save_soon.setInterval(0)
    with window.qtbot.waitSignal(window.main._save_soon.timeout, timeout=2000):
        change(window.case)
    assert words in (window.folder / "options.ini").read_text()


def test_it_says_once_that_it_is_no_medical_device(window: WindowFixture):
    texts = [label.text() for label in window.main.findChildren(QLabel)]
    assert [text for text in texts if "medical" in text.lower()] == [DISCLAIMER]


def test_a_long_file_name_does_not_widen_the_window(make_window: MakeWindow):
    name = "a" * 189 + ".nii.gz"
    window = make_window(notes=(f"{name} states no orientation.",))
    width = window.main.minimumSizeHint().width()
    path = window.open(name)
    window.segment()
    for file in (path, path.with_name("b" + name[1:])):
        window.main.controller._on_exported(Saved(file, window.case.edits.mask, 1))
        hold_over(window, mime_of(file))
        window.qtbot.wait(50)
        assert window.main.minimumSizeHint().width() == width < 780
    window.main.actions_._recent.aboutToShow.emit()
    assert len(window.main.actions_._recent.actions()[0].text()) < 300


def test_flags_do_not_push_a_slice_away_from_under_a_tool(window: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    window.open()
    window.segment()
    view = window.main.quad.slices[0].slices
    monkeypatch.setattr(view, "underMouse", lambda: True)
    flagged = replace(window.case.findings, flags=(Flag("kidney_volume", "The left kidney measures 900 mL."),))
    window.case.set_tool(tool=Tool.BRUSH)
    window.case.set_findings(flagged)
    assert "900 mL" not in window.notices()
    monkeypatch.undo()
    QApplication.sendEvent(view, QEvent(QEvent.Type.Leave))
    assert "900 mL" in window.notices()


def test_the_notice_of_a_comparison_ends_it(window: WindowFixture):
    window.open()
    window.segment()
    mask = window.case.mask.copy(order="K")
    window.case.set_compare(Compare("b.nii", mask, compare(mask, mask, window.case.volume)))
    (button,) = [one for one in window.main.notices.findChildren(QPushButton) if one.text() == "End"]
    button.click()
    assert window.case.compare is None
    assert "b.nii" not in window.notices()
