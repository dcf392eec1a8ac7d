"""A study with several series asks which one to open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtWidgets import QDialogButtonBox, QWidget
from pytestqt.qtbot import QtBot

from dicom_series import frames_of, header, save, write_series
from kidneyseg import load
from kidneyseg.editing.change import Change
from kidneyseg.editing.journal import Journal
from kidneyseg.imaging.dicom.previews import preview
from kidneyseg.imaging.dicom.series import find_study
from kidneyseg.settings import preset
from kidneyseg_gui.files import judge_drop
from kidneyseg_gui.logs import scrub
from kidneyseg_gui.outcomes import FoundStudy
from kidneyseg_gui.series_picker import SeriesPicker
from kidneyseg_gui.services import Services
from volumes import abdomen
from window_fixture import WindowFixture


def write_study(folder: Path) -> None:
    """Two series and a dose report; that of number 7 is proposed."""
    volume, _ = abdomen((40, 32, 12))
    write_series(folder / "a", frames_of(volume), SeriesNumber=5, SeriesDescription="Thorax LUNG")
    write_series(folder / "b", frames_of(volume), SeriesNumber=7, SeriesDescription="Abdomen portal")
    report = header("1.2.3", Modality="SR")
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"
    save(report, folder / "dose")


@pytest.fixture
def found(tmp_path: Path) -> FoundStudy:
    write_study(tmp_path / "study")
    study = find_study(tmp_path / "study")
    return FoundStudy(study, {one.id: preview(one) for one in study.series})


def test_the_picker_shows_each_series_and_has_chosen_the_proposed_one(qtbot: QtBot, found: FoundStudy) -> None:
    picker = SeriesPicker(found)
    qtbot.addWidget(picker)
    texts = [[picker.table.item(row, column).text() for column in range(5)] for row in range(2)]
    assert texts == [
        ["5", "Thorax LUNG", "12", "2.00 × 2.00 × 4.00 mm", ""],
        ["7", "Abdomen portal — proposed", "12", "2.00 × 2.00 × 4.00 mm", "portal venous"],
    ]
    assert not picker.table.item(0, 0).icon().isNull()
    assert picker.chosen == "7"
    assert "1 dose or other report" in " ".join(label.text() for label in picker.findChildren(QWidget, "hint"))


def test_keys_and_a_double_click_choose(qtbot: QtBot, found: FoundStudy) -> None:
    picker = SeriesPicker(found)
    qtbot.addWidget(picker)
    picker.show()
    qtbot.keyClick(picker.table, Qt.Key.Key_Up)
    assert picker.chosen == "5"
    qtbot.keyClick(picker.table, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: picker.result() == 1 and not picker.isVisible())
    picker = SeriesPicker(found)
    qtbot.addWidget(picker)
    picker.show()
    picker.table.cellDoubleClicked.emit(0, 1)
    assert picker.result() == 1
    picker = SeriesPicker(found)
    qtbot.addWidget(picker)
    picker.show()
    picker.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Cancel).click()
    assert picker.result() == 0


def mime_of(*paths: Path) -> QMimeData:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return mime


def test_folders_zips_and_files_of_a_study_can_be_dropped(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    files = sorted((tmp_path / "study" / "a").iterdir())
    assert judge_drop(mime_of(tmp_path / "study")) == (tmp_path / "study", "")
    assert judge_drop(mime_of(files[2])) == (files[2], "")
    assert judge_drop(mime_of(*files)) == (files[0], "")
    assert judge_drop(mime_of(files[0], tmp_path / "study" / "dose"))[0] is None
    archive = tmp_path / "study.zip"
    archive.write_bytes(b"PK\x03\x04")
    assert judge_drop(mime_of(archive)) == (archive, "")


def test_a_study_is_opened_by_the_series_that_was_chosen(window: WindowFixture) -> None:
    write_study(window.folder / "study")
    asked: list[FoundStudy] = []
    window.answers.series = asked.append
    with window.qtbot.waitSignal(window.jobs.study_found, timeout=20000):
        window.main.controller.open(window.folder / "study")
    window.qtbot.waitUntil(lambda: bool(asked), timeout=5000)  # cancelled: None is the answer
    window.idle()
    assert window.case.volume is None
    window.answers.series = lambda _found: "5"
    with window.qtbot.waitSignal(window.case.volume_changed, timeout=20000):
        window.main.controller.open(window.folder / "study")
    volume = window.case.volume
    assert volume is not None
    assert (volume.series, volume.path) == ("5", window.folder / "study")
    assert window.main.options.recent == [window.folder / "study"]
    with window.qtbot.waitSignal(window.case.volume_changed, timeout=20000):
        window.main.controller.read_as_stored()  # does not ask again
    assert window.case.volume.series == "5"


def test_a_study_with_one_series_opens_at_once(window: WindowFixture) -> None:
    volume, _ = abdomen((40, 32, 12))
    write_series(window.folder / "study", frames_of(volume))
    with window.qtbot.waitSignal(window.case.volume_changed, timeout=20000):
        window.main.controller.open(window.folder / "study")
    assert window.case.volume is not None
    np.testing.assert_array_equal(window.case.volume.hu, volume.hu)
    assert window.main.windowTitle().startswith("study")


def test_a_folder_without_ct_is_answered_and_no_name_is_logged(
    window: WindowFixture, caplog: pytest.LogCaptureFixture
) -> None:
    folder = window.folder / "DOE^JANE 4711"
    report = header("1.2.3", Modality="SR")
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"
    save(report, folder / "DOE_JANE.dcm")
    with window.qtbot.waitSignal(window.jobs.failed, timeout=20000):
        window.main.controller.open(folder)
    assert "holds no CT series, but 1 dose or other report" in window.notices()
    assert "DOE" not in scrub(caplog.text)


def test_a_recovered_case_is_of_the_series_that_it_was_made_on(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    for series in ("5", "7"):
        volume = load(tmp_path / "study", series=series)
        journal = Journal(tmp_path / "autosave", lambda _text: None)
        state = {"series": volume.series, "hu_offset": 0, "settings": preset("default").to_dict()}
        journal.begin(volume, Change.none(), state, result=None, steps=(), position=0)
        assert journal.flush()
        path = journal.path
        journal.close(keep=True)
        recovered = Services().recover(path, Services().load)
        assert recovered.volume.series == series
        path.unlink()


def test_the_patients_name_is_in_the_title_only_where_it_is_switched_on(window: WindowFixture) -> None:
    volume, _ = abdomen((40, 32, 12))
    write_series(window.folder / "study", frames_of(volume), PatientName="Doe^Jane^[*]=other")
    with window.qtbot.waitSignal(window.case.volume_changed, timeout=20000):
        window.main.controller.open(window.folder / "study")
    assert window.main.windowTitle() == "study[*] — KidneySeg"
    action = window.main.actions_.patient
    assert not action.isChecked()
    action.trigger()
    assert window.main.windowTitle() == "study — Doe Jane[*] — KidneySeg"
    window.open("first.nii")
    assert window.main.windowTitle() == "first[*] — KidneySeg"
    action.trigger()
    assert not window.case.display.patient


def test_reading_a_study_can_be_cancelled(window: WindowFixture) -> None:
    volume, _ = abdomen((300, 300, 60))
    write_series(window.folder / "study", frames_of(volume))
    window.jobs.progressed.connect(
        lambda _kind, stage, *_: window.main.controller.cancel() if "slices" in stage else None
    )
    with window.qtbot.waitSignal(window.jobs.cancelled, timeout=20000):
        window.main.controller.open(window.folder / "study")
    window.idle()
    assert window.case.volume is None
