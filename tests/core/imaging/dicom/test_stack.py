"""Slices are stacked by where they lie: duplicates, gaps, uneven spacing, and what makes no volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicom_series import Frames, save, slices, write_series
from kidneyseg import load
from kidneyseg.errors import InputError

STEP = 2.0


def ramp(count: int = 20) -> Frames:
    """Each slice is brighter by its position in mm, so that resampled ones show where they lie."""
    hu = np.zeros((count, 24, 24), np.int16) + (10 * STEP * np.arange(count)).astype(np.int16)[:, None, None]
    hu[:, 0] = -1000
    return Frames(hu, np.diag([0.9, 0.9, STEP, 1.0]))


def write(folder: Path, keep: Callable[[int], bool] = lambda _k: True, **values: Any) -> None:
    for index, one in enumerate(slices(ramp(), **values)):
        if keep(index):
            save(one, folder / f"{index}")


def test_slices_are_ordered_by_position_not_by_number_or_name(tmp_path: Path) -> None:
    write_series(tmp_path, ramp(), change=lambda k, one: setattr(one, "InstanceNumber", (k * 7) % 20))
    assert (np.diff(load(tmp_path).hu[5, 5].astype(int)) == 20).all()


def test_copies_of_files_are_left(tmp_path: Path) -> None:
    write(tmp_path / "a")
    for path in sorted((tmp_path / "a").iterdir())[:5]:
        (tmp_path / f"copy{path.name}").write_bytes(path.read_bytes())
    read = load(tmp_path)
    assert read.shape == (24, 24, 20)
    assert read.notes == ("Not read: 5 duplicates.",)


def test_equal_slices_in_one_place_are_taken_once_and_said(tmp_path: Path) -> None:
    write_series(tmp_path, ramp(), series="1.2.3")
    extra = slices(ramp(), series="1.2.3")[4]
    save(extra, tmp_path / "extra")
    read = load(tmp_path)
    assert read.shape == (24, 24, 20)
    assert any("1 slice lay where another does" in note for note in read.notes)


def test_different_slices_in_one_place_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, ramp(), series="1.2.3")
    other = ramp()
    other.hu[4] += 50
    save(slices(other, series="1.2.3")[4], tmp_path / "extra")
    with pytest.raises(InputError, match="two different slices in one place"):
        load(tmp_path)


def test_phases_of_one_series_are_told_apart(tmp_path: Path) -> None:
    for number in (1, 2):
        frames = ramp()
        frames.hu[:, 10] = 100 * number
        write_series(tmp_path / f"{number}", frames, series="1.2.3", AcquisitionNumber=number)
    read = load(tmp_path, series="3b")
    assert read.shape == (24, 24, 20)
    assert (read.hu[:, 23 - 10] == 200).all()


def test_a_missing_slice_is_interpolated_and_said(tmp_path: Path) -> None:
    write(tmp_path, lambda k: k != 7)
    read = load(tmp_path)
    assert read.shape == (24, 24, 20)
    assert (np.diff(read.hu[5, 5].astype(int)) == 20).all()
    assert any("1 slice missing between others" in note for note in read.notes)
    geometry = read.geometry
    assert not geometry.exact
    labels = np.zeros(read.shape, np.uint8)
    labels[:, :, 8] = 1
    assert geometry.to_frames(labels)[7].all()  # of the 19 frames that there are


def test_a_large_gap_is_refused(tmp_path: Path) -> None:
    write(tmp_path, lambda k: not 5 <= k <= 16)
    with pytest.raises(InputError, match="a gap of 26 mm"):
        load(tmp_path)


def test_uneven_spacing_is_resampled_and_said(tmp_path: Path) -> None:
    at = np.cumsum([0, 2, 2, 3, 2, 2, 3, 3, 2, 2, 2, 3, 2.0])
    made = slices(Frames(np.zeros((13, 24, 24), np.int16), np.diag([0.9, 0.9, 1.0, 1.0])))
    for index, one in enumerate(made):
        one.ImagePositionPatient = [0, 0, float(at[index])]
        one.PixelData = np.full((24, 24), 1024 + 10 * at[index], np.uint16).tobytes()
        save(one, tmp_path / f"{index}")
    read = load(tmp_path)
    assert any("2 to 3 mm apart; the CT was resampled" in note for note in read.notes)
    np.testing.assert_allclose(read.hu[5, 5], 10 * read.spacing_mm[2] * np.arange(read.shape[2]), atol=0.51)


def test_positions_that_were_rounded_are_not_resampled(tmp_path: Path) -> None:
    frames = Frames(ramp().hu, np.diag([0.9, 0.9, 0.625, 1.0]))

    def rounded(index: int, one: Any) -> None:
        one.ImagePositionPatient = [0, 0, round(0.625 * index, 1)]

    write_series(tmp_path, frames, change=rounded)
    read = load(tmp_path)
    assert read.geometry.exact
    assert (np.diff(read.hu[5, 5].astype(int)) == 20).all()
    assert read.notes == ("The slices are up to 0.054 mm off even spacing; they were taken as they are.",)
    frame = read.geometry.frame_affine_lps(1)
    assert frame[2, 3] == 0.6  # as its header says


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"RescaleType": None}, None),
        ({"SeriesDescription": None, "SeriesNumber": None, "ImageType": None, "KVP": None}, None),
        ({"PatientName": None, "PatientID": None, "StudyDate": None, "SOPInstanceUID": None}, None),
        ({"SamplesPerPixel": None, "BitsStored": None, "HighBit": None, "PhotometricInterpretation": None}, None),
        ({"SamplesPerPixel": 3}, "colour image"),
        ({"BitsStored": 40}, "of which 40 are used"),
    ],
)
def test_missing_and_strange_tags_give_a_volume_or_a_sentence(
    tmp_path: Path, values: dict[str, object], words: str | None
) -> None:
    write(tmp_path, **values)
    if words is None:
        assert load(tmp_path).shape == (24, 24, 20)
    else:
        with pytest.raises(InputError, match=words):
            load(tmp_path)


@pytest.mark.parametrize(
    ("keyword", "value", "words"),
    [
        ("ImagePositionPatient", None, "do not say where they lie"),
        ("ImageOrientationPatient", None, "do not say where they lie"),
        ("ImageOrientationPatient", [1, 0, 0, 0.5, 1, 0], "damaged orientation"),
        ("PixelSpacing", None, "how large its pixels are"),
        ("PixelSpacing", [0.001, 0.001], "which no CT has"),
        ("Rows", None, "0 rows and 24 columns"),
        ("Columns", 65534, "24 rows and 65534 columns"),
    ],
)
def test_a_series_without_a_place_is_refused(tmp_path: Path, keyword: str, value: object, words: str) -> None:
    for index, one in enumerate(slices(ramp())):
        delattr(one, keyword)
        if value is not None:
            setattr(one, keyword, value)
        save(one, tmp_path / f"{index}")
    with pytest.raises(InputError, match=words):
        load(tmp_path)


def test_slices_with_another_direction_are_another_series(tmp_path: Path) -> None:
    write(tmp_path, series="1.2.3")
    turned = Frames(ramp().hu[:3], np.diag([0.9, 0.9, STEP, 1.0])[:, [0, 2, 1, 3]])
    write_series(tmp_path / "turned", turned, series="1.2.3")
    read = load(tmp_path)
    assert read.shape == (24, 24, 20)
    assert read.notes == ("Not read: 3 CT images of series of fewer than 8.",)
