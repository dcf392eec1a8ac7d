from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PySide6.QtWidgets import QPushButton

from fakes import FakePipeline, make_volume
from kidneyseg.editing import Voxels
from kidneyseg.errors import InputError, OutputError
from kidneyseg.imaging.nifti import load_volume, save_volume
from kidneyseg.progress import Progress
from kidneyseg.segmentation import devices
from kidneyseg.segmentation.confidence import MODEL
from kidneyseg.settings import preset
from kidneyseg_gui.services import Services
from window_fixture import WindowFixture


def label_map(folder: Path) -> Path:
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[5:15, 5:15, 5:15] = 2
    nib.save(nib.Nifti1Image(mask, np.diag([2.0, 2.0, 2.0, 1.0])), folder / "m1.nii.gz")
    return folder / "m1.nii.gz"


def test_a_ct_is_loaded_and_a_label_map_is_not(tmp_path: Path):
    volume = make_volume()
    save_volume(volume, tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(Services().load(tmp_path / "ct.nii.gz").hu, volume.hu)
    path = label_map(tmp_path)
    assert load_volume(path).hu.max() == 2  # a Python user may load it
    with pytest.raises(InputError, match=r"^m1\.nii\.gz is a label map, not a CT\. Open its CT first"):
        Services().load(path)


def test_a_label_map_does_not_replace_the_open_ct(window: WindowFixture):
    window.open("first.nii")
    window.jobs._services = replace(window.jobs._services, load=Services().load)
    window.main.controller.open(label_map(window.folder))
    window.idle()
    assert window.main.notices.texts() == [
        "Not opened. m1.nii.gz has 20 x 20 x 20 voxels and should have 48 x 40 x 24; "
        "resample it to the CT (nearest neighbour)."
    ]
    assert window.case.volume.name == "first"


def test_the_target_of_an_export_is_checked(tmp_path: Path):
    check = Services().check_export
    assert check(tmp_path / "m.nii.gz", None, None) == tmp_path / "m.json"
    with pytest.raises(OutputError, match="the CT itself"):
        check(tmp_path / "ct.nii", tmp_path / "ct.nii", None)


@pytest.mark.parametrize("there", [True, False])
def test_the_warm_up_tells_whether_there_is_a_graphics_card(monkeypatch: pytest.MonkeyPatch, there: bool):
    monkeypatch.setattr(devices, "has_gpu", lambda: there)
    assert Services().warm_up() is there


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_tumour_is_measured_with_its_confidence_unless_made_by_hand(by_hand: bool):
    volume = make_volume()
    result = FakePipeline(volume).run(preset("default"), Progress())
    classes = np.eye(3, dtype=np.float16)[result.stage2.labels]
    result = replace(result, stage2=replace(result.stage2, probability=classes))
    marks = np.full(result.mask.shape, by_hand, np.uint8)
    measure = Services().measure
    (tumour,) = measure(result.mask, marks, result, volume).tumours
    assert tumour.confidence == (None if by_hand else MODEL(1.0))
    (tumour,) = measure(result.mask, marks, None, volume).tumours  # of a file
    assert tumour.confidence is None


@pytest.fixture
def shifted(window: WindowFixture) -> Path:
    """A CT whose values are HU + 1024, for a window that reads real files."""
    window.jobs._services = replace(window.jobs._services, load=Services().load)
    made = make_volume((96, 80, 40), (2.0, 2.0, 5.0))
    path = window.folder / "shifted.nii"
    save_volume(replace(made, hu=made.hu + np.int16(1024)), path)
    return path


def test_a_ct_with_an_offset_can_be_read_as_stored(window: WindowFixture, shifted: Path):
    window.main.controller.open(shifted)
    window.qtbot.waitUntil(lambda: window.case.volume is not None, timeout=5000)
    assert window.case.volume.hu_offset == -1024
    assert "HU + 1024; this was corrected" in window.notices()
    (button,) = [one for one in window.main.notices.findChildren(QPushButton) if one.text() == "Read as stored"]
    with window.qtbot.waitSignal(window.case.volume_changed, timeout=5000):
        button.click()
    assert window.case.volume.hu_offset == 0
    assert window.case.volume.hu.min() == 24
    assert "this was corrected" not in window.notices()


def test_a_case_that_was_read_as_stored_is_recovered_so(window: WindowFixture, shifted: Path):
    with window.qtbot.waitSignal(window.case.volume_changed, timeout=5000):
        window.main.controller.open(shifted, hu_offset=0)
    window.case.edits.paint("Paint", Voxels(np.arange(9, dtype=np.uint32), np.full(9, 3, np.uint8)))
    assert window.main.autosave.flush()
    window.main.autosave.close(keep=True)
    (journal,) = (window.folder / "autosave").glob("*.autosave")
    window.case.mark_saved()
    with window.qtbot.waitSignal(window.case.volume_changed, timeout=5000):
        window.main.recovering.recover(journal)
    assert window.case.volume.hu_offset == 0
    assert window.case.edits.mask.count[3] == 9
