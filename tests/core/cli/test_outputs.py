"""Where the masks of `segment` go, in each format."""

from __future__ import annotations

from pathlib import Path

import pytest

from kidneyseg.cli.outputs import masks_of, targets_of
from kidneyseg.cli.segment import FORMATS
from kidneyseg.dicom_export.formats import Format
from kidneyseg.errors import SettingsError


def test_where_masks_go(tmp_path: Path) -> None:
    a, b = Path("kits/case_1/imaging.nii.gz"), Path("kits/case_2/imaging.nii.gz")
    assert list(masks_of([a, b], None).values()) == [ct.with_name("imaging_mask.nii.gz") for ct in (a, b)]
    names = [mask.name for mask in masks_of([a, b], tmp_path).values()]
    assert names == ["case_1_imaging_mask.nii.gz", "case_2_imaging_mask.nii.gz"]
    assert masks_of([a], tmp_path) == {a: tmp_path / "imaging_mask.nii.gz"}
    assert masks_of([a], tmp_path / "m.nii") == {a: tmp_path / "m.nii"}


def test_two_series_of_a_study_have_masks_of_their_own(tmp_path: Path) -> None:
    ct, kinds = tmp_path / "study", [Format.NIFTI, Format.SEG]
    names = {str(path.name) for n in ("4a", "5") for path in targets_of([ct], tmp_path, kinds, n)[ct].values()}
    assert names == {f"study_series_{n}_{end}" for n in ("4a", "5") for end in ("mask.nii.gz", "seg.dcm")}
    assert masks_of([ct], None, "../4")[ct] == tmp_path / "study_series_.._4_mask.nii.gz"
    assert masks_of([ct], tmp_path / "m.nii", "4")[ct] == tmp_path / "m.nii"


@pytest.mark.parametrize(
    ("cts", "output"),
    [
        (["a.nii", "a.nii"], None),
        (["a.nii", "a.nii.gz"], None),
        (["x/c/a.nii", "y/c/a.nii"], "masks"),
        (["a.nii", "b.nii"], "mask.nii.gz"),
    ],
)
def test_two_cts_never_share_a_mask(cts: list[str], output: str | None, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        masks_of([tmp_path / ct for ct in cts], None if output is None else tmp_path / output)


def test_the_formats_that_the_command_names_are_those_that_there_are() -> None:
    assert list(FORMATS) == list(Format)


def test_a_name_that_ends_in_dcm_is_a_segmentation(tmp_path: Path) -> None:
    ct = tmp_path / "study"
    assert targets_of([ct], tmp_path / "OUT.DCM", []) == {ct: {Format.SEG: tmp_path / "OUT.DCM"}}
    assert targets_of([ct], tmp_path / "out.dcm", [Format.RTSTRUCT]) == {ct: {Format.RTSTRUCT: tmp_path / "out.dcm"}}
    assert targets_of([ct], None, []) == {ct: {Format.NIFTI: tmp_path / "study_mask.nii.gz"}}


def test_several_formats_go_into_a_folder_or_beside_the_ct(tmp_path: Path) -> None:
    ct = tmp_path / "study"
    kinds = [Format.NIFTI, Format.SEG, Format.SR, Format.SEG]
    names = ["study_mask.nii.gz", "study_seg.dcm", "study_sr.dcm"]
    assert [path.name for path in targets_of([ct], None, kinds)[ct].values()] == names
    folder = tmp_path / "new" / "out"
    assert list(targets_of([ct], folder, kinds)[ct].values()) == [folder / name for name in names]
    assert folder.is_dir()
    with pytest.raises(SettingsError, match="is a folder"):
        targets_of([ct], tmp_path / "out.dcm", kinds)


def test_of_several_cts_a_name_that_ends_in_dcm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder"):
        targets_of([tmp_path / "a", tmp_path / "b"], tmp_path / "out.dcm", [])
