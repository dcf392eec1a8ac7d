"""`segment` and `info` with DICOM studies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dicom_series import frames_of, header, save, write_series
from kidneyseg.cli import main
from kidneyseg.imaging.nifti import load_mask, save_volume
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CT as NIfTI, a study with it as series 4 and another series 5, and tiny random networks."""
    folder = tmp_path_factory.mktemp("case")
    volume, _ = abdomen()
    save_volume(volume, folder / "ct.nii.gz")
    write_series(folder / "study" / "a", frames_of(volume), SeriesNumber=4, SeriesDescription="Abdomen portal")
    volume.hu[:, :, ::2] += 20
    write_series(folder / "study" / "b", frames_of(volume), SeriesNumber=5, SeriesDescription="Abdomen native")
    report = header("1.2.3", Modality="SR")
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"
    save(report, folder / "study" / "dose")
    return tiny_models(folder)


def segment(case: Path, *more: str | Path) -> int:
    return main(["segment", "--models", str(case), *map(str, more)])


def test_a_study_gives_the_mask_of_its_nifti(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(case, case / "ct.nii.gz", "-o", tmp_path / "of_nifti.nii.gz") == 0
    assert segment(case, case / "study", "-o", tmp_path / "of_study.nii.gz") == 0
    said = capsys.readouterr().out
    assert "Of 2 CT series, series 4 was taken (30 slices, 4 mm apart)." in said
    assert "Not read: 1 dose or other report." in said
    masks = [load_mask(tmp_path / f"of_{kind}.nii.gz") for kind in ("nifti", "study")]
    np.testing.assert_array_equal(masks[0][0], masks[1][0])
    np.testing.assert_array_equal(masks[0][1].affine, masks[1][1].affine)
    sidecars = [json.loads((tmp_path / f"of_{kind}.json").read_text()) for kind in ("nifti", "study")]
    assert sidecars[0]["input"]["hu_sha256"] == sidecars[1]["input"]["hu_sha256"]
    text = (tmp_path / "of_study.json").read_text()
    assert not any(word in text for word in ("Doe", "Jane", "SECRET", "4711", "1950", "Abdomen", "1.2.826"))


def test_another_series_is_chosen_and_its_mask_lies_beside_the_study_under_its_number(
    case: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(case, case / "study", "--series", "5") == 0
    assert "Of 2 CT series" not in capsys.readouterr().out
    assert (case / "study_series_5_mask.nii.gz").exists()
    assert not (case / "study_mask.nii.gz").exists(), "it is that of the proposed series"
    assert segment(case, case / "study", "--series", "9") == 3
    assert "Choose one of: 4, 5." in capsys.readouterr().err
    assert segment(case, case / "ct.nii.gz", "--series", "5") == 3
    assert "without series" in capsys.readouterr().err


def test_a_missing_study_is_reported_before_it_is_read(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(case, case / "nowhere") == 3
    assert "There is no file" in capsys.readouterr().err


def test_info_lists_the_series_of_a_study(case: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(case / "study")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split("  ")[0] == "series 4"
    assert "Abdomen portal, 30 slices, 100 × 80 pixels, 2 × 2 × 4 mm, portal, proposed" in lines[1]
    assert "noncontrast" in lines[2]
    assert "proposed" not in lines[2]
    assert lines[3].endswith("1 dose or other report")
    assert main(["info", str(case / "study"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["study"] == "study"
