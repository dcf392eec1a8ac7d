"""A mask is opened over its CT in whatever order its voxels are stored, and not over another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.editing import EditedMask
from kidneyseg.editing.open_mask import open_mask
from kidneyseg.errors import InputError
from kidneyseg.findings import measure
from kidneyseg.imaging.nifti import load_volume, save_mask
from kidneyseg.imaging.volume import Volume
from kidneyseg.segmentation.export import changed_since, export_mask
from kidneyseg.segmentation.provenance import Provenance
from kidneyseg.settings import preset

SHAPE = (14, 11, 9)
SPACING = np.array([0.8, 0.8, 2.5])
LABELS = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8)
MADE = Provenance(preset("default").with_(clusters={"eps_mm": 9.0}), ("net",), "cpu", "auto", notes=("A note.",))


def turned_about_z(degrees: float) -> np.ndarray[Any, Any]:
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn * SPACING
    affine[:3, 3] = -120, 30, 700
    return affine


def ct_file(folder: Path, affine: np.ndarray[Any, Any]) -> Volume:
    hu = np.random.default_rng(1).integers(-1000, 1000, SHAPE).astype(np.int16)
    nib.save(nib.Nifti1Image(hu, affine), folder / "ct.nii.gz")
    return load_volume(folder / "ct.nii.gz")


@pytest.fixture
def ct(tmp_path: Path) -> Volume:
    return ct_file(tmp_path, turned_about_z(10))


@pytest.mark.parametrize("order", ["RAS", "LPS", "SAR", "PIR"])
def test_any_voxel_order_of_the_grid_is_the_same_mask(ct: Volume, tmp_path: Path, order: str) -> None:
    image = nib.Nifti1Image(LABELS, turned_about_z(10))
    transform = nib.orientations.axcodes2ornt(order)
    nib.save(image.as_reoriented(transform), tmp_path / "mask.nii.gz")
    opened = open_mask(tmp_path / "mask.nii.gz", ct)
    np.testing.assert_array_equal(opened.labels, LABELS)
    assert (opened.provenance, opened.settings, opened.notes) == (None, None, ())


@pytest.mark.parametrize(("degrees", "rounded"), [(45.01, 44.99), (44.99, 45.01), (-45.01, -44.99), (-44.99, -45.01)])
def test_two_headers_of_an_oblique_grid_may_be_rounded_apart(tmp_path: Path, degrees: float, rounded: float) -> None:
    ct = ct_file(tmp_path, turned_about_z(degrees))
    nib.save(nib.Nifti1Image(ct_order := LABELS, turned_about_z(rounded)), tmp_path / "mask.nii.gz")
    opened = open_mask(tmp_path / "mask.nii.gz", ct)
    save_mask(opened.labels, ct, tmp_path / "again.nii.gz")  # in the CT file's own order, which is the mask file's
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "again.nii.gz").dataobj), ct_order)
    assert opened.labels.flags.f_contiguous


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda labels, affine: (labels[:-1], affine), r"has 13 x 11 x 9 voxels and should have 14 x 11 x 9"),
        (lambda labels, affine: (labels, affine @ np.diag([-1, 1, 1, 1])), "does not lie on the CT"),
        (lambda labels, affine: (labels, affine @ np.diag([1, 1, 1.2, 1])), "does not lie on the CT"),
        (lambda labels, affine: (labels, turned_about_z(14)), "does not lie on the CT"),
        (lambda labels, affine: (labels, turned_about_z(60)), r"voxels and should have|does not lie on the CT"),
        (lambda labels, affine: (labels + np.uint8(10), affine), r"holds the label 13; .* 3 cyst"),
        (lambda labels, affine: (labels * np.float32(-9), affine), "outside the 0 to 255 of labels"),
    ],
)
def test_what_is_no_mask_of_the_ct_is_refused(ct: Volume, tmp_path: Path, change: Any, says: str) -> None:
    nib.save(nib.Nifti1Image(*change(LABELS, turned_about_z(10))), tmp_path / "mask.nii.gz")
    with pytest.raises(InputError, match=rf"^mask\.nii\.gz .*{says}"):
        open_mask(tmp_path / "mask.nii.gz", ct)


def test_a_missing_file_is_refused(ct: Volume, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.nii\.gz"):
        open_mask(tmp_path / "none.nii.gz", ct)


def exported(ct: Volume, path: Path, **more: Any) -> Path:
    return export_mask(LABELS, ct, path, findings=measure(LABELS, ct), provenance=MADE, **more)


def test_a_saved_case_comes_back_with_its_settings(ct: Volume, tmp_path: Path) -> None:
    exported(ct, tmp_path / "mask.nii.gz")
    opened = open_mask(tmp_path / "mask.nii.gz", ct)
    np.testing.assert_array_equal(opened.labels, LABELS)
    assert opened.settings == MADE.settings
    assert opened.provenance is not None
    assert replace(opened.provenance, versions={}) == MADE
    assert opened.notes == ()
    assert not changed_since(opened.stamp)


def some_marks() -> np.ndarray[Any, Any]:
    marks = np.zeros(SHAPE, np.uint8)
    marks[3:9, 4:6, 2] = 1
    marks[5, 4, 2:5] = 3
    return marks


def test_hand_made_voxels_of_an_earlier_session_come_back(ct: Volume, tmp_path: Path) -> None:
    exported(ct, tmp_path / "mask.nii.gz", marks=some_marks())
    opened = open_mask(tmp_path / "mask.nii.gz", ct)
    np.testing.assert_array_equal(opened.marks, some_marks())
    assert opened.notes == ()
    mask = EditedMask.empty(SHAPE)
    mask.apply(mask.replaced(opened.labels, opened.marks))
    again = np.zeros(SHAPE, np.uint8)
    mask.apply(mask.replaced(again))  # another segmentation
    np.testing.assert_array_equal(mask.labels, np.where(some_marks(), LABELS, 0))


@pytest.mark.parametrize("what", ["other mask", "other CT", "damaged", "none stored"])
def test_marks_that_do_not_belong_to_the_mask_are_a_sentence(ct: Volume, tmp_path: Path, what: str) -> None:
    path, of = tmp_path / "mask.nii.gz", replace(ct, hu=ct.hu + np.int16(1)) if what == "other CT" else ct
    beside = exported(of, path, marks=some_marks())
    values = json.loads(beside.read_text())
    if what == "other mask":  # another program has written it
        save_mask(np.where(LABELS == 3, np.uint8(0), LABELS), ct, path)
    elif what == "damaged":
        values["edits"]["runs"] = values["edits"]["runs"][:-8]
    elif what == "none stored":
        del values["edits"]["runs"]
    beside.write_text(json.dumps(values))
    opened = open_mask(path, ct)
    assert opened.marks is None
    assert opened.notes[-1] == "Made by hand in an earlier session: 14 voxels."
    assert opened.provenance is not None
    assert opened.provenance.notes == ("A note.", opened.notes[-1])


def test_a_mask_of_another_ct_with_the_same_grid_is_noted(ct: Volume, tmp_path: Path) -> None:
    exported(replace(ct, hu=ct.hu + np.int16(1)), tmp_path / "mask.nii.gz")
    (note,) = open_mask(tmp_path / "mask.nii.gz", ct).notes
    assert "saved with another CT" in note


@pytest.mark.parametrize("damage", ["{", None])
def test_a_damaged_sidecar_is_a_note(ct: Volume, tmp_path: Path, damage: str | None) -> None:
    beside = exported(ct, tmp_path / "mask.nii.gz")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {"models": 1}) if damage is None else damage)
    opened = open_mask(tmp_path / "mask.nii.gz", ct)
    np.testing.assert_array_equal(opened.labels, LABELS)
    assert opened.provenance is None
    assert opened.notes[0].startswith("How mask.nii.gz was made is not known: ")
