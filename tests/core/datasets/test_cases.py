"""Labelled cases: the layouts on disk, and cases that cannot be used."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.datasets.cases import error_context, find_cases, prepare, whole_grid
from kidneyseg.errors import CaseError, InputError
from kidneyseg.imaging.nifti import save_mask, save_volume
from volumes import abdomen


def test_cases_that_cannot_be_used_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    volume, truth = abdomen()
    for name in ("good", "cut", "text", "elsewhere"):
        save_volume(volume, tmp_path / f"{name}_ct.nii.gz")
        save_mask(truth, volume, tmp_path / f"{name}_kidney.nii.gz")
    image = tmp_path / "cut_ct.nii.gz"
    image.write_bytes(image.read_bytes()[:5000])
    (tmp_path / "text_ct.nii.gz").write_text("no CT")
    small, other = abdomen((80, 80, 30))
    save_mask(other, small, tmp_path / "elsewhere_kidney.nii.gz")
    cases = find_cases(tmp_path)
    told: list[tuple[int, int]] = []
    made = prepare(
        cases, lambda case: whole_grid(case, 4.0, tmp_path / "cache"), lambda done, of: told.append((done, of))
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert list(made) == ["good"]
    assert all(f"{name}: " in caplog.text for name in ("cut", "text", "elsewhere"))
    assert made["good"].case == "good"
    with pytest.raises(InputError, match="none of the 1 cases can be used"):
        prepare(cases[:1], lambda case: whole_grid(case, 4.0, tmp_path / "cache"))


def test_no_memory_for_a_case_is_said_of_that_case() -> None:
    with pytest.raises(CaseError, match=r"^case_7: out of memory$"), error_context("case_7"):
        raise MemoryError
    with pytest.raises(TypeError), error_context("case_7"):
        raise TypeError  # a mistake in the program is no case's fault


def test_kits_axes_make_the_same_scene(tmp_path: Path) -> None:
    volume, truth = abdomen()
    save_volume(volume, tmp_path / "a_ct.nii.gz")
    save_mask(truth, volume, tmp_path / "a_kidney.nii.gz")
    # KiTS' arrays run (slices, rows, columns) towards inferior, posterior, left.
    x, y, z = volume.shape
    to_ours = np.array([[0, 0, -1, x - 1], [0, -1, 0, y - 1], [-1, 0, 0, z - 1], [0, 0, 0, 1]])
    (tmp_path / "case_00000").mkdir()
    for array, name in ((volume.hu, "imaging"), (truth, "segmentation")):
        turned = np.ascontiguousarray(array[::-1, ::-1, ::-1].transpose(2, 1, 0))
        image = nib.Nifti1Image(turned, volume.affine @ to_ours)
        assert nib.aff2axcodes(image.affine) == ("I", "P", "L")
        nib.save(image, tmp_path / "case_00000" / f"{name}.nii.gz")
    ours, kits = (whole_grid(case, 4.0, tmp_path / "cache") for case in find_cases(tmp_path))
    assert kits.case == "case_00000"
    assert np.array_equal(ours.hu, kits.hu)
    assert np.array_equal(ours.labels, kits.labels)
    assert (kits.labels > 0).sum() > 50
