from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kidneyseg.errors import OutputError
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


def test_an_export_that_a_new_ct_overtakes_is_reported_as_saved(window: WindowFixture):
    window.open("first.nii")
    window.segment()
    window.answers.path = window.folder / "mask.nii.gz"
    cancelled: list[str] = []
    window.jobs.cancelled.connect(cancelled.append)
    with window.qtbot.waitSignal(window.jobs.exported, timeout=5000):
        window.main.controller.ask_export()
        window.main.controller.open(window.file("second.nii"))
    assert window.answers.asked == ["Open another CT? The mask is still being saved."]
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


def test_nothing_is_exported_before_a_result(window: WindowFixture):
    window.open()
    assert not window.main.actions_.export.isEnabled()
