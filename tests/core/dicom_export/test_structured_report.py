"""The report: what was measured, on which segment, and by whom."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest

from dicom_phantom import MADE_AT, MADE_BY, frame_order, gathered, opened, scanned
from kidneyseg.dicom_export.contents import Contents, gather
from kidneyseg.dicom_export.seg import segmentation
from kidneyseg.dicom_export.structured_report import measurement_report
from kidneyseg.findings import Confidence, measure
from kidneyseg.imaging.volume import Volume

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    series, labels = scanned(AXIAL, spacing=(5.0, 4.0), steps_mm=6.0)
    volume, framed = opened(series, tmp_path_factory.mktemp("ct")), labels[frame_order(series)]
    findings = measure(volume.geometry.from_frames(framed), volume)
    (tumour,) = findings.tumours
    sure = replace(findings, tumours=(replace(tumour, confidence=Confidence(0.873, 0.8)),))
    return gathered(volume, framed, findings=sure)


@pytest.fixture(scope="module")
def report(contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sr") / "sr.dcm"
    measurement_report(contents, segmentation(contents)).save_as(path, enforce_file_format=True)
    return path


def values(group: Any) -> dict[str, tuple[float, str]]:
    return {one.name.meaning: (float(one.value), one.unit.value) for one in group.get_measurements()}


def test_each_segment_has_its_measurements(contents: Contents, report: Path) -> None:
    groups = hd.sr.srread(report).content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(contents.segments) == 4
    for group, segment in zip(groups, contents.segments, strict=True):
        assert group.tracking_identifier == segment.name
        assert group.tracking_uid == segment.tracking_uid
        assert group.finding_type.value == segment.property.kind[0]
        assert group.finding_sites[0].topographical_modifier is None
        assert values(group)["Volume"] == (round(segment.ml, 3), "mL")
    right, left, tumour, cyst = map(values, groups)
    found = contents.findings
    assert left["Volume of the tumours on the kidney"] == (round(found.tumour_ml, 3), "mL")
    assert right["Volume of the tumours on the kidney"] == (0.0, "mL")
    assert tumour["Long axis"] == (round(found.tumours[0].longest_mm, 2), "mm")
    assert tumour["Probability that the object is a tumour"] == (87.3, "%")
    assert cyst["Long axis"] == (round(found.cysts[0].longest_mm, 2), "mm")


def test_it_refers_to_the_segments_and_the_series(contents: Contents, report: Path) -> None:
    made, seg = pydicom.dcmread(report), segmentation(contents)
    groups = hd.sr.srread(report).content.get_volumetric_roi_measurement_groups()
    for group, segment in zip(groups, contents.segments, strict=True):
        refers = group.referenced_segment[0].ReferencedSOPSequence[0]
        assert refers.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert refers.ReferencedSegmentNumber == segment.number
    evidence = {
        image.ReferencedSOPInstanceUID
        for study in made.CurrentRequestedProcedureEvidenceSequence
        for one in study.ReferencedSeriesSequence
        for image in one.ReferencedSOPSequence
    }
    assert evidence == {seg.SOPInstanceUID, *(header.SOPInstanceUID for header in contents.headers)}
    assert made.StudyInstanceUID == contents.headers[0].StudyInstanceUID
    assert made.SeriesInstanceUID != seg.SeriesInstanceUID
    assert (made.CompletionFlag, made.VerificationFlag, made.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )


def test_the_observer_is_the_program_with_its_networks(report: Path) -> None:
    made = pydicom.dcmread(report)
    text = str(made)
    assert all(network in text for network in MADE_BY.model_ids)
    assert made.Manufacturer == "KidneySeg"


def test_dcmqi_reads_the_same_measurements(contents: Contents, report: Path, tmp_path: Path) -> None:
    program = Path(pydicom.__file__).parents[1] / "dcmqi" / "bin" / "tid1500reader"
    command = [program, "--inputDICOM", report, "--outputMetadata", tmp_path / "sr.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    sides = [group["Laterality"]["CodeMeaning"] for group in groups]
    assert sides == ["Right", "Left", "Left", "Right"]
    for group, segment in zip(groups, contents.segments, strict=True):
        assert group["TrackingIdentifier"] == segment.name
        assert group["ReferencedSegment"] == segment.number
        volume = next(one for one in group["measurementItems"] if one["quantity"]["CodeMeaning"] == "Volume")
        assert float(volume["value"]) == round(segment.ml, 3)


def test_a_report_of_the_label_map_refers_to_that(contents: Contents, tmp_path: Path) -> None:
    labelmap = segmentation(contents, labelmap=True)
    made, of_seg = (measurement_report(contents, one) for one in (labelmap, segmentation(contents)))
    group = read_again(made, tmp_path).content.get_volumetric_roi_measurement_groups()[0]
    assert group.referenced_segment[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == labelmap.SOPInstanceUID
    assert made.SOPInstanceUID != of_seg.SOPInstanceUID


def test_an_empty_mask_has_a_kidney_of_no_volume(contents: Contents, tmp_path: Path) -> None:
    empty = without_labels(contents)
    made = measurement_report(empty, segmentation(empty))
    (group,) = read_again(made, tmp_path).content.get_volumetric_roi_measurement_groups()
    assert values(group) == {"Volume": (0.0, "mL")}


def read_again(made: pydicom.Dataset, folder: Path) -> Any:
    made.save_as(folder / "sr.dcm", enforce_file_format=True)
    return hd.sr.srread(folder / "sr.dcm")


def without_labels(contents: Contents) -> Contents:
    """The same series with an empty mask."""
    geometry = contents.geometry
    hu = np.full(geometry.shape, 40, np.int16, order="F")
    volume = Volume(hu, geometry.spacing_mm, geometry.affine, geometry=geometry)
    empty = np.zeros(geometry.shape, np.uint8, order="F")
    return gather(empty, volume, geometry, findings=measure(empty, volume), provenance=MADE_BY, made_at=MADE_AT)
