"""The structure set: outlines on the slices they belong to, holes, references, what has no outline."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - what its users call it

from ct_series import rotated, stack
from dicom_phantom import frame_order, gathered, opened, pixel_mm, scanned
from dicom_readers import assert_same_points, image_points, of_structures
from kidneyseg.dicom_export.contents import Contents
from kidneyseg.dicom_export.rtstruct import structure_set
from kidneyseg.imaging.labels import KIDNEY, TUMOUR

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    series, labels = scanned(rotated((10.0, -20.0, 15.0)), spacing=(5.0, 4.0), steps_mm=6.0)
    return gathered(opened(series, tmp_path_factory.mktemp("ct")), labels[frame_order(series)])


def saved(made: pydicom.Dataset, path: Path) -> Path:
    made.save_as(path, enforce_file_format=True)
    return path


def test_each_outline_refers_to_its_slice_and_lies_in_its_plane(contents: Contents) -> None:
    made = structure_set(contents)
    place = {header.SOPInstanceUID: frame for frame, header in enumerate(contents.headers)}
    normal = contents.geometry.normal
    for roi in made.ROIContourSequence:
        for contour in roi.ContourSequence:
            assert contour.ContourGeometricType == "CLOSED_PLANAR"
            frame = place[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints
            away = (points - contents.geometry.frames[frame].position_mm) @ normal
            assert np.abs(away).max() < 1e-3


def test_areas_times_spacing_are_the_volumes(contents: Contents) -> None:
    made, normal = structure_set(contents), contents.geometry.normal
    for segment, roi in zip(contents.segments, made.ROIContourSequence, strict=True):
        area = 0.0
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            area += abs(np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0) @ normal) / 2
        assert area * 6.0 / 1000 == pytest.approx(segment.ml, rel=1e-3)


def test_study_place_and_series(contents: Contents) -> None:
    made, source = structure_set(contents), contents.headers[0]
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "StudyDate"):
        assert made.get(name) == source.get(name), name
    assert made.SeriesInstanceUID not in (source.SeriesInstanceUID, contents.uid("series", "seg"))
    assert made.Modality == "RTSTRUCT"
    (place,) = made.ReferencedFrameOfReferenceSequence
    (series,) = place.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    named = [item.ReferencedSOPInstanceUID for item in series.ContourImageSequence]
    assert named == [header.SOPInstanceUID for header in contents.headers]


def test_structures_are_the_segments(contents: Contents) -> None:
    made = structure_set(contents)
    assert [(roi.ROINumber, roi.ROIName) for roi in made.StructureSetROISequence] == [
        (segment.number, segment.name) for segment in contents.segments
    ]
    kinds = [one.RTROIIdentificationCodeSequence[0].CodeValue for one in made.RTROIObservationsSequence]
    assert kinds == ["64033007", "64033007", "108369006", "367643001"]
    assert [one.RTROIInterpretedType for one in made.RTROIObservationsSequence] == ["ORGAN", "ORGAN", "", ""]


def test_holes_islands_and_pixels_that_touch(tmp_path: Path) -> None:
    series = stack(np.full((12, 20, 24), 40, np.int16), AXIAL)
    volume, labels = opened(series, tmp_path / "ct"), np.zeros((12, 20, 24), np.uint8)
    labels[5, 2:13, 2:13] = KIDNEY
    labels[5, 4:11, 4:7] = labels[5, 4:6, 8:11] = 0
    labels[5, 5, 5] = labels[5, 13, 13] = KIDNEY
    labels[5, 7:10, 8:11] = TUMOUR  # a hole of the kidney, filled by another structure
    labels[0, 0, 0] = labels[11, 19, 23] = KIDNEY
    contents, mm = gathered(volume, labels), pixel_mm(series)
    expected = {segment.name: mm[contents.numbers == segment.number] for segment in contents.segments}
    assert_same_points(of_structures(saved(structure_set(contents), tmp_path / "rt.dcm"), mm), expected)


def test_an_empty_mask_has_a_structure_without_outlines(tmp_path: Path) -> None:
    volume = opened(stack(np.full((12, 20, 24), 40, np.int16), AXIAL), tmp_path / "ct")
    made = pydicom.dcmread(
        saved(structure_set(gathered(volume, np.zeros((12, 20, 24), np.uint8))), tmp_path / "rt.dcm")
    )
    assert [roi.ROIName for roi in made.StructureSetROISequence] == ["Kidney"]
    assert "ContourSequence" not in made.ROIContourSequence[0]


def test_an_outline_of_many_points_is_kept_whole(tmp_path: Path) -> None:
    """A comb of 900 teeth takes more than the 64 kB that an explicit type could hold."""
    series = stack(np.full((8, 8, 1802), 40, np.int16), AXIAL)
    labels: Any = np.zeros((8, 8, 1802), np.uint8)
    labels[3, 5, 1:-1] = labels[3, 2:5, 1:-1:2] = KIDNEY
    contents, mm = gathered(opened(series, tmp_path / "ct"), labels), pixel_mm(series)
    path = saved(structure_set(contents), tmp_path / "rt.dcm")
    (contour,) = pydicom.dcmread(path).ROIContourSequence[0].ContourSequence
    assert contour.NumberOfContourPoints > 3000
    (found,) = of_structures(path, mm).values()
    assert len(found) == np.count_nonzero(labels)


@pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed (Debian: plastimatch)")
def test_plastimatch_fills_the_outlines_with_the_mask(tmp_path: Path) -> None:
    series, labels = scanned(AXIAL, spacing=(4.0, 4.0), steps_mm=5.0)
    contents = gathered(opened(series, tmp_path / "ct"), labels[frame_order(series)])
    mm = pixel_mm(series)[frame_order(series)]
    path = saved(structure_set(contents), tmp_path / "rt.dcm")
    command = ["plastimatch", "convert", "--input", path, "--referenced-ct", tmp_path / "ct"]
    command += ["--output-prefix", tmp_path / "out", "--prefix-format", "nrrd"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    made = sorted((tmp_path / "out").iterdir())
    assert len(made) == len(contents.segments)
    found = [image_points(sitk.ReadImage(one), 1) for one in made]
    for segment in contents.segments:
        expected = mm[contents.numbers == segment.number]
        nearest = min(found, key=lambda points: np.linalg.norm(points.mean(axis=0) - expected.mean(axis=0)))
        assert_same_points({segment.name: nearest}, {segment.name: expected})
