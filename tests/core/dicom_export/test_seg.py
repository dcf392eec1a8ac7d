"""The segmentation: frames, codes, references, and what masks at the edges of the possible give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest

from ct_series import stack
from dicom_phantom import MADE_BY, frame_order, gathered, opened, scanned
from kidneyseg.dicom_export.contents import Contents
from kidneyseg.dicom_export.seg import segmentation
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.version import __version__

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    series, labels = scanned(AXIAL, spacing=(5.0, 4.0), steps_mm=6.0)
    return gathered(opened(series, tmp_path_factory.mktemp("ct")), labels[frame_order(series)])


def small(folder: Path, frames: int = 12, rows: int = 20, columns: int = 24) -> Any:
    """A volume of air without a patient."""
    hu = np.full((frames, rows, columns), -1000, np.int16)
    hu[:, 5:15, 5:15] = 40
    return opened(stack(hu, AXIAL), folder / "ct")


def read_again(made: pydicom.Dataset, path: Path) -> Any:
    made.save_as(path, enforce_file_format=True)
    return hd.seg.segread(path)


def pixels(seg: Any, volume: Any, number: int) -> Array:
    """A segment's pixels on all frames of the series, by highdicom."""
    uids = [header.SOPInstanceUID for header in volume.geometry.headers]
    referred = [uid for _, _, uid in seg.get_source_image_uids()]
    found = seg.get_pixels_by_source_instance(referred, segment_numbers=[number], assert_missing_frames_are_empty=True)
    whole = np.zeros((len(uids), *found.shape[1:3]), np.uint8)
    whole[[uids.index(uid) for uid in referred]] = found[..., 0]
    return whole


def test_segments_have_codes_with_laterality(contents: Contents) -> None:
    made = segmentation(contents)
    found = {}
    for item in made.SegmentSequence:
        kind = item.SegmentedPropertyTypeCodeSequence[0]
        assert kind.CodingSchemeDesignator == "SCT"
        region = item.get("AnatomicRegionSequence")
        sided = kind.get("SegmentedPropertyTypeModifierCodeSequence") or region[0].AnatomicRegionModifierSequence
        where = region[0].CodeValue if region else None
        found[str(item.SegmentLabel)] = (kind.CodeValue, where, sided[0].CodeValue)
    assert found == {
        "Right kidney": ("64033007", None, "24028007"),
        "Left kidney": ("64033007", None, "7771000"),
        "Tumour 1, left kidney": ("108369006", "64033007", "7771000"),
        "Cyst 1, right kidney": ("367643001", "64033007", "24028007"),
    }


@pytest.mark.parametrize("labelmap", [False, True])
def test_study_and_place_are_the_series_and_its_own_series_is_new(contents: Contents, labelmap: bool) -> None:
    made, source = segmentation(contents, labelmap=labelmap), contents.headers[0]
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "StudyDate", "AccessionNumber"):
        assert made.get(name) == source.get(name), name
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert made.Modality == "SEG"
    refers = made.ReferencedSeriesSequence[0]
    assert refers.SeriesInstanceUID == source.SeriesInstanceUID
    named = {item.ReferencedSOPInstanceUID for item in refers.ReferencedInstanceSequence}
    assert named <= {header.SOPInstanceUID for header in contents.headers}
    used = contents.numbers.reshape(len(contents.numbers), -1).any(axis=1)
    assert named >= {header.SOPInstanceUID for header, one in zip(contents.headers, used, strict=True) if one}


def test_the_algorithm_is_named_with_its_networks_and_version(contents: Contents) -> None:
    for item in segmentation(contents).SegmentSequence:
        named = item.SegmentationAlgorithmIdentificationSequence[0]
        assert all(network in named.AlgorithmName for network in MADE_BY.model_ids)
        assert named.AlgorithmVersion == __version__
        assert '"kept_percent"' in named.AlgorithmParameters
        assert item.SegmentAlgorithmType == "AUTOMATIC"
        assert "Not a medical device" in item.SegmentDescription


def test_frames_without_voxels_are_left_out(contents: Contents) -> None:
    used = sum((contents.numbers == segment.number).any(axis=(1, 2)).sum() for segment in contents.segments)
    assert segmentation(contents).NumberOfFrames == used
    assert segmentation(contents, labelmap=True).NumberOfFrames == contents.numbers.any(axis=(1, 2)).sum()


@pytest.mark.parametrize("labelmap", [False, True])
def test_an_empty_mask_has_one_empty_frame_of_a_kidney(labelmap: bool, tmp_path: Path) -> None:
    volume = small(tmp_path)
    made = read_again(
        segmentation(gathered(volume, np.zeros((12, 20, 24), np.uint8)), labelmap=labelmap), tmp_path / "a.dcm"
    )
    assert made.NumberOfFrames == 1
    assert not made.pixel_array.any()
    assert [str(item.SegmentLabel) for item in made.SegmentSequence if item.SegmentNumber] == ["Kidney"]


def test_a_segment_on_one_slice_and_three_labels_on_one_slice(tmp_path: Path) -> None:
    volume, labels = small(tmp_path), np.zeros((12, 20, 24), np.uint8)
    labels[7, 6:9, 6:14], labels[7, 9:11, 6:14], labels[7, 11:13, 6:14] = KIDNEY, TUMOUR, CYST
    labels[3, 2, 2] = KIDNEY
    contents = gathered(volume, labels)
    made = read_again(segmentation(contents), tmp_path / "a.dcm")
    assert made.NumberOfFrames == 4
    for segment in contents.segments:
        np.testing.assert_array_equal(pixels(made, volume, segment.number), contents.numbers == segment.number)
    assert sorted(segment.label for segment in contents.segments) == [KIDNEY, TUMOUR, CYST]


def test_more_than_four_hundred_frames(tmp_path: Path) -> None:
    volume = small(tmp_path, 430)
    labels = np.zeros((430, 20, 24), np.uint8)
    labels[5:425, 4:9, 4:9], labels[5:425, 12:15, 12:15] = KIDNEY, TUMOUR
    contents = gathered(volume, labels)
    made = read_again(segmentation(contents), tmp_path / "a.dcm")
    assert made.NumberOfFrames == 840
    for segment in contents.segments:
        np.testing.assert_array_equal(pixels(made, volume, segment.number), contents.numbers == segment.number)


def test_more_segments_than_a_byte_numbers(tmp_path: Path) -> None:
    volume, labels = small(tmp_path, 12, 60, 64), np.zeros((12, 60, 64), np.uint8)
    for row in range(2, 58, 3):
        for column in range(2, 62, 3):
            labels[3:7, row : row + 2, column : column + 2] = CYST
    contents = gathered(volume, labels)
    assert len(contents.segments) > 255
    made = read_again(segmentation(contents), tmp_path / "a.dcm")
    assert made.number_of_segments == len(contents.segments)
    last = contents.segments[-1].number
    np.testing.assert_array_equal(pixels(made, volume, last), contents.numbers == last)
    made = read_again(segmentation(contents, labelmap=True), tmp_path / "a.dcm")
    # Not by highdicom's `get_pixels_by_source_instance`, which takes 257 for 1.
    np.testing.assert_array_equal(made.pixel_array, contents.numbers[3:7])
