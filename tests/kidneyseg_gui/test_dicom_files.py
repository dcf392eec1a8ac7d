"""File > Export as DICOM: offered for a DICOM series only, asks before it replaces, says what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_phantom import opened, scanned
from kidneyseg.dicom_export.formats import ENDINGS, Format
from kidneyseg_gui.dicom_files import KINDS
from window_fixture import WindowFixture

SERIES, LABELS = scanned(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), spacing=(5.0, 4.0), steps_mm=6.0)
SEG, SR, IMAGES = KINDS[0], KINDS[3], KINDS[4]


@pytest.fixture
def dicom(window: WindowFixture, tmp_path: Path) -> WindowFixture:
    """A window with a segmented DICOM series."""
    window.fake.volumes["ct.nii.gz"] = opened(SERIES, tmp_path / "study")
    window.open("ct.nii.gz")
    window.segment()
    return window


def export(window: WindowFixture, kind: int) -> None:
    with window.qtbot.waitSignal(window.jobs.objects_exported, timeout=20000):
        window.main.actions_.export_dicom.actions()[kind].trigger()


def test_the_kinds_are_the_formats_under_their_names() -> None:
    assert [(kind.word, kind.ending) for kind in KINDS] == [(one, ENDINGS[one]) for one in Format if one != "nifti"]


def test_it_is_offered_for_a_mask_of_a_dicom_series_only(window: WindowFixture, tmp_path: Path) -> None:
    menu = window.main.actions_.export_dicom
    assert not menu.isEnabled()
    window.open()
    window.segment()
    assert not menu.isEnabled()
    window.fake.volumes["ct.nii.gz"] = opened(SERIES, tmp_path / "study")
    window.open("ct.nii.gz")
    assert not menu.isEnabled()
    window.segment()
    assert menu.isEnabled()


def test_a_segmentation_is_written_where_the_user_says(dicom: WindowFixture) -> None:
    dicom.answers.path = dicom.folder / "out.dcm"
    export(dicom, 0)
    assert dicom.answers.proposed == dicom.folder / "ct_seg.dcm"
    made = pydicom.dcmread(dicom.folder / "out.dcm")
    assert made.Modality == "SEG"
    assert dicom.case.mask is not None
    assert np.unpackbits(np.frombuffer(made.PixelData, np.uint8)).sum() == np.count_nonzero(dicom.case.mask)
    assert f"Written for the PACS: {dicom.folder / 'out.dcm'}" in dicom.notices()
    assert dicom.main.isWindowModified()  # the mask itself is not saved


def test_a_report_comes_with_its_segmentation_and_key_images_are_named(dicom: WindowFixture) -> None:
    dicom.answers.path = dicom.folder / "ct_sr.dcm"
    export(dicom, 3)
    assert "ct_seg.dcm, ct_sr.dcm" in dicom.notices()
    dicom.answers.path = dicom.folder / "ct_key.dcm"
    export(dicom, 4)
    assert "ct_key-1.dcm" in dicom.notices()


def test_it_asks_before_it_replaces(dicom: WindowFixture) -> None:
    dicom.answers.path = dicom.folder / "out.dcm"
    export(dicom, 0)
    before = (dicom.folder / "out.dcm").read_bytes()
    dicom.answers.go_on = False
    dicom.main.dicom_files.ask_export(SEG)
    dicom.idle()
    assert [asked.partition("?")[0] for asked in dicom.answers.asked] == ["Replace out.dcm and out.json"]
    assert (dicom.folder / "out.dcm").read_bytes() == before
    dicom.answers.go_on = True
    export(dicom, 2)
    assert pydicom.dcmread(dicom.folder / "out.dcm").Modality == "RTSTRUCT"


def test_another_programs_file_is_not_replaced(dicom: WindowFixture) -> None:
    dicom.answers.path = dicom.folder / "foreign.dcm"
    dicom.answers.path.write_bytes(b"foreign")
    dicom.main.dicom_files.ask_export(SEG)
    assert "Not exported. foreign.dcm is another program's file" in dicom.notices()
    assert dicom.answers.asked == []
    assert dicom.answers.path.read_bytes() == b"foreign"


def test_cancelling_the_dialog_writes_nothing(dicom: WindowFixture) -> None:
    dicom.answers.path = None
    dicom.main.dicom_files.ask_export(SR)
    dicom.idle()
    assert not list(dicom.folder.glob("*.dcm"))
