"""The frames of an object, by its functional groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset, FileDataset

from dicom_series import Frames, enhanced, save, slices
from kidneyseg import load
from kidneyseg.imaging.dicom.instances import FileSource, read_instance
from kidneyseg.imaging.dicom.slices import Slice, slices_of

HU = np.random.default_rng(6).integers(-900, 900, (10, 12, 12), np.int16)
FRAMES = Frames(HU, np.diag([0.8, 0.7, 2.0, 1.0]))


def of(one: FileDataset, folder: Path) -> list[Slice]:
    path = save(one, folder / "one")
    instance = read_instance(FileSource(path, path.stat().st_size))
    assert instance is not None
    return slices_of(instance)


def test_a_classic_image_is_one_slice(tmp_path: Path) -> None:
    (found,) = of(slices(FRAMES)[3], tmp_path)
    assert (found.number, found.position, found.spacing) == (1, (0, 0, 6), (0.7, 0.8))
    assert found.orientation == (1, 0, 0, 0, 1, 0)
    assert found.rescale == (1, -1024)


def test_frames_have_shared_and_own_groups(tmp_path: Path) -> None:
    one = enhanced(FRAMES)
    own = Dataset()
    own.RescaleIntercept, own.RescaleSlope, own.RescaleType = "-1000", "2", "HU"
    one.PerFrameFunctionalGroupsSequence[4].PixelValueTransformationSequence = [own]
    found = of(one, tmp_path)
    assert [frame.number for frame in found] == list(range(1, 11))
    assert [frame.position for frame in found[:2]] == [(0, 0, 0), (0, 0, 2)]
    assert {frame.spacing for frame in found} == {(0.7, 0.8)}
    assert [frame.rescale for frame in found[3:5]] == [(1, -1024), (2, -1000)]


def test_the_window_is_the_first_that_the_most_specific_header_states(tmp_path: Path) -> None:
    several, none, narrow = slices(FRAMES)[:3]
    several.WindowCenter, several.WindowWidth = ["60", "-600"], ["360", "1500"]
    none.WindowCenter = "40"
    narrow.WindowCenter, narrow.WindowWidth = "40", "0"
    found = [of(one, tmp_path / str(number))[0].window for number, one in enumerate((several, none, narrow))]
    assert found == [(360, 60), None, None]
    one, shared, own = enhanced(FRAMES), Dataset(), Dataset()
    shared.WindowCenter, shared.WindowWidth = "40", "350"
    own.WindowCenter, own.WindowWidth = "130", "300"
    one.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence = [shared]
    one.PerFrameFunctionalGroupsSequence[4].FrameVOILUTSequence = [own]
    assert [frame.window for frame in of(one, tmp_path)[3:5]] == [(350, 40), (300, 130)]


def test_frames_in_any_order_and_of_two_stacks(tmp_path: Path) -> None:
    one = enhanced(FRAMES)
    groups = list(one.PerFrameFunctionalGroupsSequence)
    one.PerFrameFunctionalGroupsSequence = groups[::-1]
    save(one, tmp_path / "a" / "one")
    read = load(tmp_path / "a")
    np.testing.assert_array_equal(read.geometry.to_frames(read.hu), HU[::-1])
    assert [frame.number for frame in read.geometry.frames[:2]] == [10, 9]


def test_a_wrong_number_of_frames_gives_none(tmp_path: Path) -> None:
    for count in (0, -1, 11, 10**9):
        one = enhanced(FRAMES)
        one.NumberOfFrames = count
        found = of(one, tmp_path)
        assert found == [] or (count == 0 and len(found) <= 1)
