from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from kidneyseg.errors import OutputError, SidecarError
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_export_proposes_a_name_writes_and_says_where(window: WindowFixture):
    window.open("case_7.nii.gz")
    window.segment()
    target = window.folder / "mask.nii.gz"
    window.answers.path = target
    with window.qtbot.waitSignal(window.jobs.exported, timeout=5000):
        window.main.actions_.export.trigger()
    assert window.answers.proposed == window.folder / "case_7_mask.nii.gz"
    assert target.read_bytes() == b"mask"
    assert str(target) in window.notices()
    assert not window.main.isWindowModified()


@pytest.mark.parametrize("there", [["m1.nii.gz"], ["m1.json"], ["m1.nii.gz", "m1.json"]])
def test_replacing_a_mask_or_its_sidecar_is_asked_about_once(window: WindowFixture, there: list[str]):
    window.open()
    window.segment()
    for name in there:
        (window.folder / name).write_text('{"program": "kidneyseg 0.2.0", "settings": {}, "findings": {}}')
    before = [(window.folder / name).read_bytes() for name in there]
    window.answers.path, window.answers.go_on = window.folder / "m1.nii.gz", False
    window.main.controller.ask_export()
    window.idle()
    assert [question.partition("?")[0] for question in window.answers.asked] == [f"Replace {' and '.join(there)}"]
    assert [(window.folder / name).read_bytes() for name in there] == before
    assert window.case.dirty

    window.answers.go_on = True
    with window.qtbot.waitSignal(window.jobs.exported, timeout=5000):
        window.main.controller.ask_export()
    assert window.answers.path.read_bytes() == b"mask"


def test_a_new_mask_is_not_asked_about(window: WindowFixture):
    window.open()
    window.segment()
    window.answers.path = window.folder / "m1.nii.gz"
    with window.qtbot.waitSignal(window.jobs.exported, timeout=5000):
        window.main.controller.ask_export()
    assert window.answers.asked == []


def test_what_can_not_be_written_is_refused_and_not_asked_about(window: WindowFixture):
    ct = window.open("case_7.nii.gz")
    window.segment()
    (window.folder / "pat.json").write_text("{}")
    for path, words in ((window.folder / "pat.nii.gz", "another program's file"), (ct, "is the CT itself")):
        window.answers.path = path
        window.main.controller.ask_export()
        assert words in window.notices()
    assert window.answers.asked == []
    assert ct.read_bytes() == b"good"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OutputError("The disk is full."), "The disk is full."),
        (PermissionError(13, "Permission denied", "/x/mask.nii.gz"), "Permission denied: /x/mask.nii.gz"),
    ],
)
def test_an_export_that_fails_says_why_and_stays_unsaved(window: WindowFixture, error: Exception, words: str):
    window.open()
    window.segment()

    def fail(*_args: object) -> None:
        raise error

    window.jobs._services = replace(window.jobs._services, export=fail)
    window.answers.path = window.folder / "mask.nii.gz"
    window.main.controller.ask_export()
    window.idle()
    assert "not saved" in window.notices()
    assert words in window.notices()
    assert window.case.dirty


def test_a_mask_without_its_sidecar_is_reported_as_saved(window: WindowFixture):
    window.open()
    window.segment()

    def fail(*_args: object) -> None:
        raise SidecarError("The mask m.nii.gz is saved, but not its sidecar. The disk is full.")

    window.jobs._services = replace(window.jobs._services, export=fail)
    window.answers.path = window.folder / "m.nii.gz"
    window.main.controller.ask_export()
    window.idle()
    assert window.main.notices.texts() == ["The mask m.nii.gz is saved, but not its sidecar. The disk is full."]
    assert not window.case.dirty


def test_segmenting_again_with_nothing_changed_leaves_an_exported_mask_saved(window: WindowFixture):
    window.open()
    window.segment()
    window.answers.path = window.folder / "m.nii.gz"
    with window.qtbot.waitSignal(window.jobs.exported, timeout=5000):
        window.main.controller.ask_export()
    window.segment()
    assert not window.main.isWindowModified()


def test_an_export_that_a_new_ct_overtakes_is_reported_as_saved(window: WindowFixture):
    window.open("first.nii")
    window.segment()
    window.answers.path = window.folder / "mask.nii.gz"
    cancelled: list[str] = []
    window.jobs.cancelled.connect(cancelled.append)
    with window.qtbot.waitSignal(window.jobs.exported, timeout=5000):
        window.main.controller.ask_export()
        window.main.controller.open(window.file("second.nii"))
    assert window.answers.asked == ["Open second.nii? The mask is still being saved."]
    assert window.answers.path.read_bytes() == b"mask"
    window.qtbot.waitUntil(lambda: window.case.volume.name == "second", timeout=5000)
    assert cancelled == []


def test_an_export_cannot_be_cancelled(window: WindowFixture):
    window.open()
    window.segment()
    window.answers.path, window.fake.export_seconds = window.folder / "mask.nii.gz", 1.2
    cancelled: list[str] = []
    window.jobs.cancelled.connect(cancelled.append)
    with window.qtbot.waitSignal(window.jobs.exported, timeout=5000):
        window.main.controller.ask_export()
        window.jobs.cancel()
    assert cancelled == []  # not even after the time that other jobs get to stop
    assert not window.case.dirty


def test_closing_finishes_an_export(window: WindowFixture):
    window.open()
    window.segment()
    window.answers.path = window.folder / "mask.nii.gz"
    window.main.controller.ask_export()
    assert window.main.close()
    assert window.answers.path.read_bytes() == b"mask"


def test_closing_finishes_an_export_that_waits_behind_other_work(window: WindowFixture):
    window.open()
    window.segment()
    window.answers.path = window.folder / "mask.nii.gz"
    window.jobs._services = replace(window.jobs._services, warm_up=lambda: time.sleep(0.3))
    window.jobs.warm_up()
    window.main.controller.ask_export()
    assert window.main.close()
    assert window.answers.path.read_bytes() == b"mask"


def test_nothing_is_exported_before_a_result(window: WindowFixture):
    window.open()
    assert not window.main.actions_.export.isEnabled()
