"""The series that objects refer to: completed headers, single frames, and a reference for a converted CT."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import config, dcmread

from ct_series import Series
from dicom_phantom import gathered, opened, scanned
from kidneyseg.dicom_export.rtstruct import structure_set
from kidneyseg.dicom_export.seg import segmentation
from kidneyseg.dicom_export.source import on_frame, reference_for, slice_spacing_mm, source_headers
from kidneyseg.errors import InputError
from kidneyseg.imaging.nifti import load_volume, save_volume
from kidneyseg.imaging.volume import Volume

TILTED = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.3, 0.954))
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
SERIES, _ = scanned(AXIAL, spacing=(5.0, 4.0), steps_mm=6.0)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return opened(SERIES, tmp_path_factory.mktemp("ct"))


@pytest.mark.parametrize("name", ["FrameOfReferenceUID"])
def test_a_series_without_an_identifier_is_refused(name: str, tmp_path: Path) -> None:
    volume = opened(SERIES, tmp_path / "ct", **{name: None})
    with pytest.raises(InputError, match=f"has no {name}.*Write NIfTI"):
        source_headers(volume.geometry)


@pytest.mark.parametrize("name", ["PatientID", "StudyInstanceUID", "FrameOfReferenceUID"])
def test_images_of_several_patients_studies_or_frames_of_reference_are_refused(name: str, study: Volume) -> None:
    headers = [copy.deepcopy(header) for header in study.geometry.headers]
    setattr(headers[-1], name, "1.2.3")
    with pytest.raises(InputError, match=f"differ in their {name}"):
        source_headers(replace(study.geometry, headers=tuple(headers)))


def test_headers_are_completed_and_invalid_values_left_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for mode in ("reading_validation_mode", "writing_validation_mode"):
        monkeypatch.setattr(config.settings, mode, config.IGNORE)
    values = {"PatientID": None, "StudyID": None, "PatientSex": "X", "StudyTime": "noon", "StudyDate": "2026"}
    volume = opened(SERIES, tmp_path / "ct", SliceThickness=None, **values)
    for header in source_headers(volume.geometry):
        assert [str(header.get(name)) for name in values] == ["", "", "", "", ""]
        assert header.SliceThickness == pytest.approx(6.0)
        assert str(header.PatientName) == "Phantom^Made"
    assert "PatientID" not in volume.geometry.headers[0]  # the volume's own are as they were


@pytest.mark.parametrize(
    ("charset", "name", "written"),
    [
        ("ISO_IR 192", "Müller^Jörg", "ISO_IR 192"),
        ("ISO_IR 100", "Müller^Jörg", "ISO_IR 100"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "ISO_IR 192"),
    ],
)
def test_names_keep_their_letters(charset: str | list[str], name: str, written: str, tmp_path: Path) -> None:
    volume = opened(SERIES, tmp_path / "ct", SpecificCharacterSet=charset, PatientName=name)
    labels = volume.geometry.to_frames(np.zeros(volume.shape, np.uint8))
    contents = gathered(volume, labels)
    for kind, made in (("seg", segmentation(contents)), ("rt", structure_set(contents))):
        made.save_as(tmp_path / kind, enforce_file_format=True)
        read = dcmread(tmp_path / kind)
        assert (read.PatientName, read.SpecificCharacterSet) == (name, written)


@pytest.mark.parametrize("directions", [AXIAL, TILTED])
def test_a_frame_is_that_of_all_frames(directions: tuple[tuple[float, ...], ...], tmp_path: Path) -> None:
    volume = opened(scanned(directions, spacing=(5.0, 4.0), steps_mm=6.0)[0], tmp_path / "ct")
    frames = volume.geometry.to_frames(volume.hu)
    for index in (0, 7, len(frames) - 1):
        np.testing.assert_array_equal(on_frame(volume.geometry, volume.hu, index), frames[index])


def test_a_converted_ct_has_the_frames_of_its_series(study: Volume, tmp_path: Path) -> None:
    save_volume(study, tmp_path / "ct.nii.gz")
    assert reference_for(load_volume(tmp_path / "ct.nii.gz"), study) is study.geometry


def test_a_reference_that_shows_something_else_is_refused(study: Volume, tmp_path: Path) -> None:
    save_volume(study, tmp_path / "ct.nii.gz")
    ct = load_volume(tmp_path / "ct.nii.gz")
    with pytest.raises(InputError, match="is no DICOM series"):
        reference_for(ct, ct)
    moved = tuple((x, y, z + 4.0) for x, y, z in SERIES.positions)
    elsewhere = Series(SERIES.hu, SERIES.along_row, SERIES.along_column, SERIES.spacing, moved)
    with pytest.raises(InputError, match="does not lie on the CT"):
        reference_for(ct, opened(elsewhere, tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="shows something else"):
        reference_for(replace(ct, hu=ct.hu + np.int16(3)), study)
    clipped = np.clip(ct.hu, -200, 300)  # as some data sets are
    assert reference_for(replace(ct, hu=clipped), study) is study.geometry


def test_spacing_along_the_normal() -> None:
    normal = np.array([0.0, 0.0, 1.0])
    assert slice_spacing_mm([(0, k, 2.0 * k) for k in range(5)], normal) == (2.0, True)
    assert slice_spacing_mm([(0, 0, z) for z in (0.0, 2.0, 4.0, 7.0)], normal) == (2.0, False)
    assert slice_spacing_mm([(0, 0, 0)], normal) == (0.0, False)
