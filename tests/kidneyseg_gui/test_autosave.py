"""The open case on disk, and after a crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from fakes import FakeServices
from kidneyseg.editing import Voxels
from kidneyseg.editing.recovery import find_abandoned
from kidneyseg.segmentation.export import FileStamp
from kidneyseg_gui.logs import scrub
from window_fixture import WindowFixture

MakeWindow = Callable[..., WindowFixture]


def paint(window: WindowFixture, start: int, label: int = 3) -> None:
    window.case.edits.paint(
        f"Paint {start}", Voxels(np.arange(start, start + 20, dtype=np.uint32), np.full(20, label, np.uint8))
    )


def journals(window: WindowFixture) -> list[Path]:
    return sorted((window.folder / "autosave").glob("*.autosave"))


def state(window: WindowFixture) -> tuple[bytes, bytes, list[str], int, dict[str, object]]:
    edits = window.case.edits
    names = [step.text() for step in edits.steps()]
    return (
        edits.mask.labels.tobytes(),
        edits.mask.marks.tobytes(),
        names,
        edits.stack.index(),
        window.case.settings.to_dict(),
    )


def killed(window: WindowFixture) -> None:
    """Leave the journal of a window as a kill does, and keep the window from beginning another."""
    assert window.main.autosave.flush()
    window.main.jobs.shutdown()
    window.main.autosave.close(keep=True)


def restarted(window: WindowFixture, qtbot: QtBot) -> WindowFixture:
    """A new window with the same folder of journals."""
    again = WindowFixture(qtbot, FakeServices(), window.folder)
    qtbot.addWidget(again.main)
    return again


def recovered(window: WindowFixture, qtbot: QtBot) -> WindowFixture:
    """A new window with the case of one that was killed."""
    killed(window)
    again = restarted(window, qtbot)
    with qtbot.waitSignal(again.case.volume_changed, timeout=5000):
        again.main.recovering.recover(journals(again)[0])
    return again


@pytest.fixture
def crashed(window: WindowFixture, qtbot: QtBot) -> Callable[[], WindowFixture]:
    """A window that is killed in the middle of editing; a call makes a new one with the same folder of journals."""
    window.open("first.nii")
    window.segment()
    paint(window, 0)
    paint(window, 400)
    window.case.set_settings(window.case.settings.with_(fill={"closing_mm": 4.0}))
    window.case.set_window(300, 130)
    window.case.edits.undo()
    killed(window)

    def restart() -> WindowFixture:
        again = restarted(window, qtbot)
        again.main.recovering.offer()
        return again

    return restart


def test_locked_labels_stay_locked_after_a_crash(window: WindowFixture, qtbot: QtBot):
    window.open("first.nii")
    paint(window, 0)
    window.case.edits.set_locked(frozenset({3}))
    again = recovered(window, qtbot)
    assert again.case.edits.locked == {3}


def test_looking_at_a_ct_leaves_nothing_on_disk(window: WindowFixture):
    window.open()
    window.case.step(2, 1)
    assert journals(window) == []


def test_a_crashed_case_is_offered_and_comes_back_as_it_was(
    window: WindowFixture, crashed: Callable[[], WindowFixture]
):
    before = state(window)
    again = crashed()
    assert "first.nii" in again.notices()
    assert "edits are kept" in again.notices()
    with again.qtbot.waitSignal(again.case.volume_changed, timeout=5000):
        again.main.recovering.recover(journals(again)[0])
    assert state(again) == before
    assert "A mask from before is open" in again.main.run_panel.stage.text()
    assert again.main.findings.empty.text() != "Nothing segmented yet."
    assert again.case.window == (300, 130)
    assert again.case.dirty
    again.case.edits.redo()
    assert (again.case.mask.reshape(-1, order="F")[400:420] == 3).all()
    for _ in range(3):
        again.case.edits.undo()
    assert not again.case.mask.any()  # also the segmentation can be undone
    assert len(journals(again)) == 1  # the new journal, in place of the old one
    found = find_abandoned(again.folder / "autosave")
    assert found == []  # and it is in use


def test_a_case_that_was_closed_is_not_offered(window: WindowFixture):
    window.open()
    paint(window, 0)
    assert window.main.autosave.flush()
    assert len(journals(window)) == 1
    window.main.close()
    assert journals(window) == []


def test_another_ct_ends_the_journal(window: WindowFixture):
    window.open("first.nii")
    paint(window, 0)
    window.main.autosave.flush()
    window.open("second.nii")
    window.qtbot.waitUntil(lambda: journals(window) == [], timeout=3000)


def test_a_case_whose_ct_has_changed_is_not_recovered(crashed: Callable[[], WindowFixture]):
    again = crashed()
    from fakes import make_volume  # noqa: PLC0415

    again.fake.volumes["first.nii"] = make_volume((48, 40, 25))
    again.main.recovering.recover(journals(again)[0])
    again.qtbot.waitUntil(lambda: "not the CT" in again.notices(), timeout=5000)
    assert again.case.volume is None
    assert len(journals(again)) == 1


def test_more_steps_than_can_be_undone_come_back(window: WindowFixture, qtbot: QtBot):
    window.open("first.nii")
    for number in range(210):
        paint(window, number * 20)
    before = state(window)
    again = recovered(window, qtbot)
    assert state(again) == before
    assert again.case.edits.stack.index() == 200


def test_the_name_of_a_recovered_mask_stays_out_of_the_log(window: WindowFixture, qtbot: QtBot):
    window.open("first.nii")
    paint(window, 0)
    window.case.set_saved(FileStamp(Path("/scans/Eva Muster/muster-1.nii.gz"), 0, 0, ""), clean=True)
    recovered(window, qtbot)
    assert "uster" not in scrub("muster-1.nii.gz cannot be written in /scans/Eva Muster")


def test_a_saved_case_comes_back_saved(window: WindowFixture, qtbot: QtBot):
    window.open("first.nii")
    paint(window, 0)
    window.case.mark_saved()
    paint(window, 100)
    window.case.edits.undo()
    assert not window.case.dirty
    again = recovered(window, qtbot)
    assert not again.case.dirty
    again.case.edits.redo()
    assert again.case.dirty


def test_a_disk_that_cannot_be_written_is_said_and_the_edits_stay(window: WindowFixture):
    (window.folder / "autosave").write_text("a file where the folder should be")
    window.open()
    paint(window, 0)
    window.qtbot.waitUntil(lambda: "Autosave does not work" in window.notices(), timeout=5000)
    assert window.case.edits.mask.count[3] == 20
    window.main.controller.notified.emit("done", "The settings are saved.", None)
    assert "Autosave does not work" in window.notices()  # no other notice takes its place
    (window.folder / "autosave").unlink()
    window.qtbot.waitUntil(lambda: "Autosave does not work" not in window.notices(), timeout=5000)
