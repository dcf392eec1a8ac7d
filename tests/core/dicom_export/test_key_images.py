"""Key images: the slice, its outlines, and where its sides are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ct_series import rotated
from dicom_phantom import frame_order, gathered, opened, scanned
from kidneyseg.dicom_export.contents import Contents
from kidneyseg.dicom_export.key_images import key_images, orientation, picture
from kidneyseg.imaging.volume import Volume

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.fixture(scope="module")
def opened_case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Contents, Volume]:
    series, labels = scanned(AXIAL, spacing=(3.0, 3.0), steps_mm=6.0)
    volume = opened(series, tmp_path_factory.mktemp("ct"))
    return gathered(volume, labels[frame_order(series)]), volume


def test_each_finding_has_the_slice_on_which_it_is_largest(opened_case: tuple[Contents, Volume]) -> None:
    contents, volume = opened_case
    made = key_images(contents, volume)
    assert len(made) == len(contents.segments)
    assert len({one.SOPInstanceUID for one in made}) == len(made)
    assert {one.SeriesInstanceUID for one in made} == {contents.uid("series", "images")}
    for one, segment in zip(made, contents.segments, strict=True):
        areas = (contents.numbers == segment.number).sum(axis=(1, 2))
        refers = one.SourceImageSequence[0].ReferencedSOPInstanceUID
        assert refers == contents.headers[int(areas.argmax())].SOPInstanceUID
        assert one.ImageComments.startswith(f"{segment.name}: {segment.ml:.2f} mL")
        assert one.StudyInstanceUID == contents.headers[0].StudyInstanceUID
        assert list(one.PatientOrientation) == ["L", "P"]


def test_they_are_dated_as_the_result(opened_case: tuple[Contents, Volume]) -> None:
    contents, volume = opened_case
    for one in key_images(contents, volume):
        assert one.DateOfSecondaryCapture == contents.made_at.strftime("%Y%m%d")
        assert one.TimeOfSecondaryCapture == contents.made_at.strftime("%H%M%S.%f")


def test_only_the_rims_of_objects_are_painted(opened_case: tuple[Contents, Volume]) -> None:
    contents, volume = opened_case
    tumour = contents.segments[2]
    index = int((contents.numbers == tumour.number).sum(axis=(1, 2)).argmax())
    made = key_images(contents, volume)[2]
    pixels = np.frombuffer(made.PixelData, np.uint8)[: made.Rows * made.Columns * 3].reshape(made.Rows, made.Columns, 3)
    own = contents.numbers[index] == tumour.number
    painted = (pixels == tumour.property.colour).all(axis=2)
    assert painted.any()
    assert not (painted & ~own).any()
    inner = own[1:-1, 1:-1] & own[:-2, 1:-1] & own[2:, 1:-1] & own[1:-1, :-2] & own[1:-1, 2:]
    assert not (painted[1:-1, 1:-1] & inner).any()
    outside = contents.numbers[index] == 0
    outside[1:-1, 1:-1] &= (contents.numbers[index][:-2, 1:-1] == 0) & (contents.numbers[index][2:, 1:-1] == 0)
    outside[1:-1, 1:-1] &= (contents.numbers[index][1:-1, :-2] == 0) & (contents.numbers[index][1:-1, 2:] == 0)
    assert (pixels[outside].min(axis=1) == pixels[outside].max(axis=1)).all()  # grey


def test_the_window_is_the_abdomen(opened_case: tuple[Contents, Volume]) -> None:
    hu = np.array([[-1000, -135, 40, 215, 3000]], np.int16)
    grey = picture(hu, np.zeros((1, 5), np.uint8), opened_case[0].segments)[0, :, 0]
    assert grey.tolist() == [0, 0, 128, 255, 255]


def test_an_empty_mask_has_none(opened_case: tuple[Contents, Volume], tmp_path: Path) -> None:
    _, volume = opened_case
    geometry = volume.geometry
    empty = np.zeros((len(geometry.frames), geometry.rows, geometry.columns), np.uint8)
    assert key_images(gathered(volume, empty), volume) == []


@pytest.mark.parametrize(
    ("directions", "expected"),
    [
        (AXIAL, ("L", "P")),
        (((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)), ("A", "F")),
        (rotated((0.0, 0.0, 20.0)), ("LP", "PR")),
        (rotated((-30.0, 0.0, 0.0)), ("L", "PF")),
    ],
)
def test_letters_of_the_directions(directions: tuple[tuple[float, ...], ...], expected: tuple[str, str]) -> None:
    assert orientation(np.array(directions[:2])) == expected
