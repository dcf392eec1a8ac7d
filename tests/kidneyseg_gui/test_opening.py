"""The window over a fake engine: opening, dropping, closing, and what is kept between runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QLabel

from fakes import make_volume
from kidneyseg.settings import preset
from kidneyseg_gui.files import judge_drop
from kidneyseg_gui.main_window import DISCLAIMER
from window_fixture import Bench

MakeBench = Callable[..., Bench]


def mime_of(*paths: Path) -> QMimeData:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return mime


def hold_over(bench: Bench, mime: QMimeData) -> QDragEnterEvent:
    event = QDragEnterEvent(
        QPointF(90, 90), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(bench.window, event)
    return event


def let_go(bench: Bench, mime: QMimeData) -> None:
    hold_over(bench, mime)  # Qt sends a drop to whoever took the drag
    event = QDropEvent(
        QPointF(90, 90), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(bench.window, event)


def test_opening_shows_the_case(bench: Bench):
    path = bench.open("case_00007.nii.gz")
    assert bench.window.windowTitle().startswith("case_00007")
    assert bench.case.volume.shape == (48, 40, 24)
    assert bench.window.options.recent == [path.resolve()]
    assert bench.cloud.box == (96.0, 80.0, 120.0)


def test_a_dropped_ct_opens_after_a_highlight(bench: Bench):
    path = bench.file("dropped.nii.gz")
    mime = mime_of(path)
    assert hold_over(bench, mime).isAccepted()
    assert bench.window._drop_zone.isVisible()
    with bench.qtbot.waitSignal(bench.case.volume_changed, timeout=5000):
        let_go(bench, mime)
    assert not bench.window._drop_zone.isVisible()
    assert bench.case.volume.name == "dropped"


def test_the_highlight_goes_when_the_file_is_taken_away(bench: Bench):
    mime = mime_of(bench.file())
    hold_over(bench, mime)
    QApplication.sendEvent(bench.window, QDragLeaveEvent())
    assert not bench.window._drop_zone.isVisible()


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
def test_a_drop_that_does_not_fit_is_answered_in_one_sentence(bench: Bench, names: list[str], words: str):
    bench.open("first.nii")
    let_go(bench, mime_of(*(bench.file(name) for name in names)))
    assert words in bench.said()
    assert bench.case.volume.name == "first"


@pytest.mark.parametrize(
    "names", [["scan.hdr"], ["scan.img.gz"], ["scan.img", "scan.hdr"], ["scan.HDR", "scan.img.gz"]]
)
def test_a_pair_is_dropped_alone_or_together(bench: Bench, names: list[str]):
    paths = [bench.file(name) for name in names]
    assert judge_drop(mime_of(*paths)) == (paths[0], "")


def test_a_dropped_folder_and_dropped_text_are_answered(bench: Bench):
    let_go(bench, mime_of(bench.folder))
    assert "is a folder" in bench.said()
    text = QMimeData()
    text.setText("hello")
    assert not hold_over(bench, text).isAccepted()


def test_a_bad_file_leaves_the_open_case_as_it_was(bench: Bench):
    bench.open("first.nii")
    bench.segment()
    result = bench.case.result
    bench.window.controller.open(bench.file("broken.nii.gz", b"bad"))
    bench.idle()
    assert "broken.nii.gz is not a NIfTI file" in bench.said()
    assert bench.case.volume.name == "first"
    assert bench.case.result is result


def test_a_missing_recent_file_says_so_and_is_forgotten(bench: Bench):
    path = bench.open()
    path.unlink()
    bench.window.controller.open(path.resolve())
    assert "not there any more" in bench.said()
    assert bench.window.options.recent == []


def test_an_uncalibrated_image_opens_with_a_warning(bench: Bench):
    bench.fake.volumes["grey.nii"] = make_volume(calibrated=False)
    bench.open("grey.nii")
    assert "not calibrated in HU" in bench.said()
    bench.open("case.nii")
    assert "calibrated" not in bench.said()


def test_an_unexpected_error_is_one_sentence(make_bench: MakeBench):
    bench = make_bench()
    bench.fake.volumes["x.nii"] = None  # makes the fake loader fail in a way that nobody foresaw
    bench.window.controller.open(bench.file("x.nii"))
    bench.idle()
    assert "TypeError" in bench.said()
    assert "Traceback" not in bench.said()


def test_closing_asks_for_an_unsaved_mask(bench: Bench):
    bench.open()
    bench.segment()
    bench.answers.go_on = False
    assert not bench.window.close()
    assert "not been exported" in bench.answers.asked[-1]
    bench.answers.go_on = True
    assert bench.window.close()


def test_closing_asks_while_work_runs_and_then_stops_it(make_bench: MakeBench):
    bench = make_bench(seconds=5)
    bench.open()
    bench.window.controller.segment()
    bench.qtbot.wait(100)
    began = time.monotonic()
    assert bench.window.close()
    assert "still running" in bench.answers.asked[-1]
    assert time.monotonic() - began < 2


def test_opening_another_ct_asks_for_an_unsaved_mask(bench: Bench):
    bench.open("first.nii")
    bench.segment()
    bench.answers.go_on = False
    bench.window.controller.open(bench.file("second.nii"))
    assert bench.answers.asked
    assert bench.case.volume.name == "first"
    assert not bench.engine.busy


def test_options_survive_a_restart(make_bench: MakeBench):
    first = make_bench()
    first.case.set_window(1500, 300)
    first.case.set_overlay(replace(first.case.overlay, opacity=0.7, outlined=False).with_label(2, visible=False))
    first.case.set_display(radiological=False)
    first.case.set_settings(first.case.settings.with_(clusters={"eps_mm": 8.0}))
    first.window.close()
    second = make_bench()
    assert second.case.window == (1500, 300)
    assert second.case.overlay == first.case.overlay
    assert not second.case.display.radiological
    assert second.case.settings.clusters.eps_mm == 8.0


def test_only_changed_settings_are_kept(make_bench: MakeBench):
    bench = make_bench()
    bench.case.set_settings(preset("paper").with_(clusters={"eps_mm": 8.0}))
    bench.window.close()
    kept = json.loads(bench.store.value("case/settings"))
    assert kept == {"preset": "paper", "changes": {"clusters": {"eps_mm": 8.0}}}


def test_spoiled_options_do_no_harm(make_bench: MakeBench):
    first = make_bench()
    first.window.close()
    for key in ("window", "overlay", "display", "settings", "device"):
        first.store.setValue(f"case/{key}", '{"eps": [')
    first.store.setValue("recent", "7")
    first.store.sync()
    second = make_bench()
    assert second.case.window == (350, 40)
    assert second.window.options.recent == []


def test_keys_set_window_overlay_and_layout(bench: Bench):
    bench.open()
    for key, check in (
        (Qt.Key.Key_6, lambda: bench.case.window == (1500, 300)),
        (Qt.Key.Key_O, lambda: not bench.case.overlay.shown),
        (Qt.Key.Key_X, lambda: not bench.case.display.crosshair),
    ):
        bench.qtbot.keyClick(bench.window.quad.slices[0].slices, key)
        assert check()


def test_it_says_once_that_it_is_no_medical_device(bench: Bench):
    texts = [label.text() for label in bench.window.findChildren(QLabel)]
    assert [text for text in texts if "medical" in text.lower()] == [DISCLAIMER]


def test_shortcuts_and_about_open(bench: Bench):
    bench.window.actions_.help.trigger()
    dialog = bench.window.findChildren(QApplication.activeModalWidget().__class__)[0]
    assert "Shortcuts" in dialog.windowTitle()
    dialog.close()
