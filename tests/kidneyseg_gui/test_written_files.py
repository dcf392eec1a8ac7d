"""The files of the mask in the status bar: named while they hold it, dragged out, shown in their folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt
from PySide6.QtGui import QDesktopServices, QDrag, QDragEnterEvent
from PySide6.QtTest import QTest

from dicom_phantom import opened, scanned
from kidneyseg.editing import Voxels
from window_fixture import WindowFixture

SERIES, _ = scanned(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), spacing=(5.0, 4.0), steps_mm=6.0)


@pytest.fixture
def saved(window: WindowFixture) -> WindowFixture:
    """A window with a segmented CT whose mask was saved."""
    window.open()
    window.segment()
    window.answers.path = window.folder / "out_mask.nii.gz"
    with window.qtbot.waitSignal(window.jobs.exported):
        window.main.actions_.export.trigger()
    return window


def test_nothing_is_named_before_something_was_written(window: WindowFixture):
    window.open()
    window.segment()
    assert window.main.written.isHidden()


def test_a_drag_carries_the_saved_mask_as_a_copy(saved: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    button, dragged = saved.main.written, []
    assert button.isVisible()
    assert button.text() == "out_mask.nii.gz"

    def drag(self: QDrag, actions: Qt.DropAction) -> Qt.DropAction:
        dragged.append(([url.toLocalFile() for url in self.mimeData().urls()], actions))
        return actions

    clicks: list[object] = []
    monkeypatch.setattr(QDrag, "exec", drag)
    monkeypatch.setattr(QDesktopServices, "openUrl", clicks.append)
    QTest.mousePress(button, Qt.MouseButton.LeftButton, pos=QPoint(10, 8))
    QTest.mouseMove(button, QPoint(12, 9))
    assert not dragged
    QTest.mouseMove(button, QPoint(40, 9))
    QTest.mouseMove(button, QPoint(60, 9))
    QTest.mouseRelease(button, Qt.MouseButton.LeftButton, pos=QPoint(60, 9))
    assert dragged == [([str(saved.folder / "out_mask.nii.gz")], Qt.DropAction.CopyAction)]
    assert not clicks
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert [url.toLocalFile() for url in clicks] == [str(saved.folder)]


def test_other_programs_get_whole_paths(saved: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(saved.folder)
    saved.main.written.offer([Path("out_mask.nii.gz")], 0)
    (url,) = saved.main.written.mime_data().urls()
    assert url.toLocalFile() == str(saved.folder / "out_mask.nii.gz")


def test_a_file_that_is_gone_is_not_dragged(saved: WindowFixture):
    (saved.folder / "out_mask.nii.gz").unlink()
    assert not saved.main.written.mime_data().urls()


def test_an_edit_makes_the_file_stale_until_the_mask_is_saved_again(saved: WindowFixture):
    saved.case.edits.paint("Paint", Voxels(np.arange(10, dtype=np.uint32), np.ones(10, np.uint8)))
    assert not saved.main.written.isEnabled()
    assert "has changed" in saved.main.written.toolTip()
    with saved.qtbot.waitSignal(saved.jobs.exported):
        saved.main.actions_.export.trigger()
    assert saved.main.written.isEnabled()
    saved.open("second.nii.gz")
    assert saved.main.written.isHidden()


def test_dicom_objects_are_named_and_a_mask_that_was_opened(window: WindowFixture, tmp_path: Path):
    window.fake.volumes["ct.nii.gz"] = opened(SERIES, tmp_path / "study")
    window.open("ct.nii.gz")
    window.segment()
    window.answers.path = window.folder / "out.dcm"
    with window.qtbot.waitSignal(window.jobs.objects_exported, timeout=20000):
        window.main.actions_.export_dicom.actions()[0].trigger()
    assert window.main.written.text() == "out.dcm"
    assert window.main.written.isEnabled()


def test_its_own_window_takes_no_drag_of_it(saved: WindowFixture, monkeypatch: pytest.MonkeyPatch):
    data = saved.main.written.mime_data()
    event = drag_over(data)
    monkeypatch.setattr(event, "source", lambda: saved.main.written)
    saved.main.dragEnterEvent(event)
    assert not event.isAccepted()
    assert not saved.main._drop_zone.isVisible()


def drag_over(data: QMimeData) -> QDragEnterEvent:
    event = QDragEnterEvent(
        QPoint(90, 90), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    event.ignore()
    return event
