"""The files of KiTS23: which are found, what is read of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.synthesis.kits_files import case_number, is_held_out, label_files, read_hu, read_labels
from nifti_files import saved

TABLE = "case,kidney_median,tumor_median\ncase_00003,150,90\ncase_00004,120,\ncase_00005,,70\n"


def test_cases_divisible_by_5_are_held_out():
    assert [case for case in range(12) if is_held_out(case)] == [0, 5, 10]


def test_label_maps_are_found_in_both_layouts(tmp_path):
    (tmp_path / "case_00007").mkdir()
    names = ("case_00012.nii.gz", "case_00007/segmentation.nii.gz", "case_00007/imaging.nii.gz", "other.nii.gz")
    for name in names:
        (tmp_path / name).touch()
    assert [case_number(path) for path in label_files(tmp_path)] == [7, 12]
    with pytest.raises(InputError, match="has no case number"):
        case_number(Path("other.nii.gz"))


def test_unusable_label_maps_are_left_out_with_a_warning(tmp_path, caplog):
    labels = np.zeros((12, 10, 9), np.uint8)
    labels[1:3] = 2
    saved(tmp_path / "case_00003.nii.gz", labels, np.diag([1.0, 2.0, 3.0, 1.0]))
    read = read_labels(tmp_path / "case_00003.nii.gz")
    assert read is not None
    assert (read[0] == 2).sum() == 2 * 10 * 9
    assert read[1] == pytest.approx((1.0, 2.0, 3.0))
    labels[0] = 9
    saved(tmp_path / "case_00004.nii.gz", labels, np.eye(4))
    assert read_labels(tmp_path / "case_00004.nii.gz") is None
    assert "case_00004.nii.gz" in caplog.text


def test_rows_without_a_needed_value_are_left_out(tmp_path):
    path = tmp_path / "hu.csv"
    path.write_text(TABLE)
    rows = read_hu(path, ("kidney_median", "tumor_median"), ("kidney_median",))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[3, 150, 90], [4, 120, np.nan]])
    assert len(read_hu(path, ("kidney_median", "tumor_median"), ("kidney_median", "tumor_median"))) == 1
    with pytest.raises(InputError, match="lacks the columns cyst_median"):
        read_hu(path, ("cyst_median",), ())
