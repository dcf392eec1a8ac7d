"""The window over a fake engine: opening, dropping, closing, and what is kept between runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel

from fakes import make_volume
from kidneyseg.settings import preset
from kidneyseg_gui.main_window import DISCLAIMER
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


def test_opening_shows_the_case(window: WindowFixture):
    path = window.open("case_00007.nii.gz")
    assert window.main.windowTitle().startswith("case_00007")
    assert window.case.volume.shape == (48, 40, 24)
    assert window.main.options.recent == [path.resolve()]
    assert window.cloud.box == (96.0, 80.0, 120.0)


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
        (["report.pdf"], "report.pdf is not a NIfTI file"),
        (["scan.dcm"], "scan.dcm is not a NIfTI file"),
    ],
)
def test_a_drop_that_does_not_fit_is_answered_in_one_sentence(window: WindowFixture, names: list[str], words: str):
    window.open("first.nii")
    let_go(window, mime_of(*(window.file(name) for name in names)))
    assert words in window.said()
    assert window.case.volume.name == "first"


def test_a_dropped_folder_and_dropped_text_are_answered(window: WindowFixture):
    let_go(window, mime_of(window.folder))
    assert "is a folder" in window.said()
    text = QMimeData()
    text.setText("hello")
    assert not hold_over(window, text).isAccepted()


def test_a_bad_file_leaves_the_open_case_as_it_was(window: WindowFixture):
    window.open("first.nii")
    window.segment()
    result = window.case.result
    window.main.controller.open(window.file("broken.nii.gz", b"bad"))
    window.idle()
    assert "broken.nii.gz is not a NIfTI file" in window.said()
    assert window.case.volume.name == "first"
    assert window.case.result is result


def test_a_missing_recent_file_says_so_and_is_forgotten(window: WindowFixture):
    path = window.open()
    path.unlink()
    window.main.controller.open(path.resolve())
    assert "not there any more" in window.said()
    assert window.main.options.recent == []


def test_an_uncalibrated_image_opens_with_a_warning(window: WindowFixture):
    window.fake.volumes["grey.nii"] = make_volume(calibrated=False)
    window.open("grey.nii")
    assert "not calibrated in HU" in window.said()
    window.open("case.nii")
    assert "calibrated" not in window.said()


def test_an_unexpected_error_is_one_sentence(make_window: MakeWindow):
    window = make_window()
    window.fake.volumes["x.nii"] = None  # makes the fake loader fail in a way that nobody foresaw
    window.main.controller.open(window.file("x.nii"))
    window.idle()
    assert "TypeError" in window.said()
    assert "Traceback" not in window.said()


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


def test_opening_another_ct_asks_for_an_unsaved_mask(window: WindowFixture):
    window.open("first.nii")
    window.segment()
    window.answers.go_on = False
    window.main.controller.open(window.file("second.nii"))
    assert window.answers.asked
    assert window.case.volume.name == "first"
    assert not window.jobs.busy


def test_options_survive_a_restart(make_window: MakeWindow):
    first = make_window()
    first.case.set_window(1500, 300)
    first.case.set_overlay(replace(first.case.overlay, opacity=0.7, outlined=False).with_label(2, visible=False))
    first.case.set_display(radiological=False)
    first.case.set_settings(first.case.settings.with_(clusters={"eps_mm": 8.0}))
    first.main.close()
    second = make_window()
    assert second.case.window == (1500, 300)
    assert second.case.overlay == first.case.overlay
    assert not second.case.display.radiological
    assert second.case.settings.clusters.eps_mm == 8.0


def test_only_changed_settings_are_kept(make_window: MakeWindow):
    window = make_window()
    window.case.set_settings(preset("paper").with_(clusters={"eps_mm": 8.0}))
    window.main.close()
    kept = json.loads(window.store.value("case/settings"))
    assert kept == {"preset": "paper", "changes": {"clusters": {"eps_mm": 8.0}}}


def test_spoiled_options_do_no_harm(make_window: MakeWindow):
    first = make_window()
    first.main.close()
    for key in ("window", "overlay", "display", "settings", "device"):
        first.store.setValue(f"case/{key}", '{"eps": [')
    first.store.setValue("recent", "7")
    first.store.sync()
    second = make_window()
    assert second.case.window == (350, 40)
    assert second.main.options.recent == []


def test_keys_set_window_overlay_and_layout(window: WindowFixture):
    window.open()
    for key, check in (
        (Qt.Key.Key_6, lambda: window.case.window == (1500, 300)),
        (Qt.Key.Key_O, lambda: not window.case.overlay.shown),
        (Qt.Key.Key_X, lambda: not window.case.display.crosshair),
    ):
        window.qtbot.keyClick(window.main.quad.slices[0].slices, key)
        assert check()


def test_it_says_once_that_it_is_no_medical_device(window: WindowFixture):
    texts = [label.text() for label in window.main.findChildren(QLabel)]
    assert [text for text in texts if "medical" in text.lower()] == [DISCLAIMER]


def test_shortcuts_and_about_open(window: WindowFixture):
    window.main.actions_.help.trigger()
    dialog = window.main.findChildren(QApplication.activeModalWidget().__class__)[0]
    assert "Shortcuts" in dialog.windowTitle()
    dialog.close()
