"""Labelled cases: the layouts on disk, and cases that cannot be used."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.datasets.cases import Layout, error_context, find_cases, prepare, whole_grid, without_labels
from kidneyseg.errors import CaseError, InputError
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.progress import CallbackProgress
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
    told: list[tuple[str, float]] = []
    progress = CallbackProgress(lambda *given: told.append(given))
    made = prepare(cases, lambda case: whole_grid(case, 4.0, tmp_path / "cache"), progress)
    assert told == [(f"prepared {done} of 4 cases", done / 4) for done in (1, 2, 3, 4)]
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One case in each layout, and images without labels."""
    for name in (
        "a_ct",
        "a_kidney",
        "a_label13",
        "unlabelled_ct",
        "case_00001/imaging",
        "case_00001/segmentation",
        "other/imaging",
        "other/segmentation",
        "imagesTr/b_0000",
        "labelsTr/b",
        "imagesTr/c_0000",
    ):
        path = tmp_path / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_all_layouts_are_found(folder: Path) -> None:
    found = find_cases(folder)
    assert [case.name for case in found] == ["a", "case_00001", "b"]
    assert [[path.relative_to(folder).as_posix() for path in case.files] for case in found] == [
        ["a_ct.nii.gz", "a_kidney.nii.gz", "a_label13.nii.gz"],
        ["case_00001/imaging.nii.gz", "case_00001/segmentation.nii.gz"],
        ["imagesTr/b_0000.nii.gz", "labelsTr/b.nii.gz"],
    ]


def test_a_layout_is_one_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "kidneyseg.datasets.cases.LAYOUTS", (Layout("{name}/imaging.nii.gz", "{name}/segmentation.nii.gz"),)
    )
    assert [case.name for case in find_cases(folder)] == ["case_00001", "other"]


def test_an_empty_folder_names_the_layouts(tmp_path: Path) -> None:
    expected = r"\*_ct.nii.gz with \*_kidney.nii.gz, or case_\*/imaging.nii.gz with case_\*/.*imagesTr/\*_0000"
    with pytest.raises(InputError, match=expected):
        find_cases(tmp_path)


def test_labels_that_do_not_lie_on_the_ct_are_refused(tmp_path: Path) -> None:
    volume, _ = abdomen()
    save_volume(volume, tmp_path / "a_ct.nii.gz")
    small, other = abdomen((80, 80, 30))
    save_mask(other, small, tmp_path / "a_kidney.nii.gz")
    with pytest.raises(InputError, match=r"a_kidney.nii.gz has 80 x 80 x 30 voxels and should have .*; resample it"):
        whole_grid(find_cases(tmp_path)[0], 4.0, tmp_path / "cache")


def test_labels_of_other_organs_and_misplaced_organ_maps_are_refused(tmp_path: Path) -> None:
    volume, truth = abdomen()
    save_volume(volume, tmp_path / "a_ct.nii.gz")
    for name, change in (("liver", 6), ("ignored", 255)):
        save_mask(np.where(truth == 2, np.uint8(change), truth), volume, tmp_path / "a_kidney.nii.gz")
        with pytest.raises(InputError, match=f"a_kidney.nii.gz holds the label {change}; .*Change its labels to these"):
            whole_grid(find_cases(tmp_path)[0], 4.0, tmp_path / name)
    save_mask(truth, volume, tmp_path / "a_kidney.nii.gz")
    small, other = abdomen((80, 80, 30))
    save_mask(other, small, tmp_path / "a_label13.nii.gz")
    with pytest.raises(InputError, match=r"a_label13.nii.gz has 80 x 80 x 30 voxels"):
        whole_grid(find_cases(tmp_path)[0], 4.0, tmp_path / "organs")


def test_grids_hold_the_kidneys_and_organs_and_are_cached(tmp_path: Path) -> None:
    volume, truth = abdomen()
    save_volume(volume, tmp_path / "a_ct.nii.gz")
    save_mask(np.where(truth == 2, np.uint8(3), truth), volume, tmp_path / "a_kidney.nii.gz")
    save_mask(np.where(truth > 0, np.uint8(2), np.uint8(0)), volume, tmp_path / "a_label13.nii.gz")
    case = find_cases(tmp_path)[0]
    whole = whole_grid(case, 4.0, tmp_path)
    assert (whole.labels > 0).sum() * 64 == pytest.approx((truth > 0).sum() * 16, rel=0.1)
    assert set(np.unique(whole.labels)) == {0, 1, 3}, "a cyst stays one"
    assert np.array_equal(whole.organs, 2 * (whole.labels > 0))
    assert whole.body is not None
    assert whole.body[whole.labels > 0].all()
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = whole_grid(case, 4.0, tmp_path)
    assert np.array_equal(again.hu, whole.hu)
    assert again.body is not None
    assert np.array_equal(again.body, whole.body)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_cts_without_labels_are_listed(folder: Path) -> None:
    (folder / "case_00002").mkdir()
    (folder / "case_00002" / "imaging.nii.gz").touch()
    (folder / "case_00003").mkdir()
    (folder / "case_00003" / "prediction.nii.gz").touch()
    assert without_labels(folder) == ["c", "case_00002", "unlabelled"]
