from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fakes import FakePipeline, make_volume
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
    assert check(tmp_path / "m.nii.gz", None) == tmp_path / "m.json"
    with pytest.raises(OutputError, match="the CT itself"):
        check(tmp_path / "ct.nii", tmp_path / "ct.nii")


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
