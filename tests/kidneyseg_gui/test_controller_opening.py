from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtWidgets import QToolButton

from fakes import make_volume
from kidneyseg_gui.jobs import JobKind
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def test_opening_shows_the_case(window: WindowFixture):
    path = window.open("case_00007.nii.gz")
    assert window.main.windowTitle().startswith("case_00007")
    assert window.case.volume.shape == (48, 40, 24)
    assert window.main.options.recent == [path.resolve()]
    assert window.cloud.box == (96.0, 80.0, 120.0)


def test_a_bad_file_leaves_the_open_case_as_it_was(window: WindowFixture):
    window.open("first.nii")
    window.segment()
    result = window.case.result
    window.main.controller.open(window.file("broken.nii.gz", b"bad"))
    window.idle()
    assert "broken.nii.gz is not a NIfTI file" in window.notices()
    assert window.case.volume.name == "first"
    assert window.case.result is result


def test_a_missing_recent_file_says_so_and_is_forgotten(window: WindowFixture):
    path = window.open()
    path.unlink()
    window.main.controller.open(path.resolve())
    assert "not there any more" in window.notices()
    assert window.main.options.recent == []


def test_an_uncalibrated_image_opens_with_a_warning(window: WindowFixture):
    window.fake.volumes["grey.nii"] = make_volume(calibrated=False)
    window.open("grey.nii")
    assert "does not seem to be in HU" in window.notices()
    window.open("case.nii")
    assert "in HU" not in window.notices()


def test_notes_on_the_file_are_shown_once_from_its_opening_on(make_window: MakeWindow):
    window = make_window(notes=("No kidneys were found on this CT.",))
    note = "case.nii states no orientation; left and right are unknown."
    window.fake.volumes["odd.nii"] = make_volume(notes=(note,))
    window.open("odd.nii")
    assert window.main.notices.texts() == [note]
    window.segment()
    assert window.main.notices.texts() == [note, "No kidneys were found on this CT."]
    window.case.mark_saved()
    window.open("plain.nii")
    assert window.main.notices.texts() == []


def test_a_note_on_the_file_that_was_dismissed_stays_away(window: WindowFixture):
    window.fake.volumes["odd.nii"] = make_volume(notes=("The header is odd.",))
    window.open("odd.nii")
    window.main.notices.findChildren(QToolButton)[0].click()
    window.segment()
    window.qtbot.waitUntil(lambda: window.notices() == "", timeout=1000)
    window.case.mark_saved()
    window.open("odd.nii")
    assert window.notices() == "The header is odd."


def test_an_unexpected_error_is_one_sentence(make_window: MakeWindow):
    window = make_window()
    window.fake.volumes["x.nii"] = None  # makes the fake loader fail in a way that nobody foresaw
    window.main.controller.open(window.file("x.nii"))
    window.idle()
    assert "TypeError" in window.notices()
    assert "Traceback" not in window.notices()


def test_opening_another_ct_asks_for_an_unsaved_mask(window: WindowFixture):
    window.open("first.nii")
    window.segment()
    window.answers.go_on = False
    window.main.controller.open(window.file("second.nii"))
    window.idle()
    assert window.answers.asked == ["Open another CT? The mask has not been exported and would be lost."]
    assert window.case.volume.name == "first"
    window.answers.go_on = True
    window.open("second.nii")
    assert window.case.volume.name == "second"


def test_a_ct_that_is_loaded_and_not_opened_leaves_what_the_pipeline_remembers(window: WindowFixture):
    window.open("first.nii")
    window.segment()
    window.answers.go_on = False
    window.main.controller.open(window.file("second.nii"))
    window.idle()
    window.case.set_settings(window.case.settings.with_(clusters={"eps_mm": 5.5}))
    window.segment()
    (pipeline,) = window.fake.pipelines
    assert pipeline.network_runs == 1


def test_a_run_that_ends_while_the_question_is_open_is_asked_about_again(
    make_window: MakeWindow, monkeypatch: pytest.MonkeyPatch
):
    window = make_window(seconds=0.3)
    window.open("first.nii")
    asked: list[str] = []

    def confirm(_parent: object, _question: str, consequence: str, *_buttons: str) -> bool:
        asked.append(consequence)
        window.idle()
        return len(asked) == 1

    monkeypatch.setattr(window.answers, "confirm", confirm)
    window.main.controller.segment()
    window.main.controller.open(window.file("second.nii"))
    window.qtbot.waitUntil(lambda: len(asked) == 2, timeout=5000)
    monkeypatch.undo()
    running, unsaved = asked
    assert running == "The segmentation is still running and would be stopped."
    assert unsaved == "The mask has not been exported and would be lost."
    assert window.case.mask.any()
    assert not window.jobs.busy


def test_a_file_that_would_stop_a_run_is_asked_about_before_it_loads(make_window: MakeWindow):
    window = make_window()
    window.open("first.nii")
    window.segment()
    window.fake.pipelines[0].seconds = 5
    window.case.set_settings(window.case.settings.with_(sampling={"kept_percent": 12.0}))
    window.main.controller.segment()
    window.answers.go_on = False
    window.main.controller.open(window.file("second.nii"))
    assert window.answers.asked == ["Open second.nii? The segmentation is still running and would be stopped."]
    assert window.jobs.busy == JobKind.SEGMENT
