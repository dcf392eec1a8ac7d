import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.findings import Findings, longest_diameter_mm, measure
from kidneyseg.imaging.nifti import load_mask, load_volume
from kidneyseg.imaging.volume import Volume

SPACING = (2.0, 2.0, 4.0)
SHAPE = (150, 100, 30)


def volume_of(shape=SHAPE, spine=75):
    """Air around a body, 20 voxels in from both sides, with a spine at this x."""
    hu = np.full(shape, -1000, np.int16, order="F")
    hu[20 : shape[0] - 20, 10:-10] = 120
    hu[spine - 8 : spine + 8, 14:40] = 300
    return Volume(hu, SPACING, np.diag([*SPACING, 1.0]))


def with_box(mask, x, label=1, y=(50, 70), z=(10, 20)):
    mask[x[0] : x[1], y[0] : y[1], z[0] : z[1]] = label
    return mask


def empty(shape=SHAPE):
    return np.zeros(shape, np.uint8, order="F")


def test_two_kidneys_with_x_growing_to_the_right():
    mask = with_box(with_box(empty(), (40, 55)), (95, 115))
    found = measure(mask, volume_of())
    assert [(k.side, k.ml, k.tumour_ml) for k in found.kidneys] == [
        ("right", pytest.approx(64.0), 0.0),
        ("left", pytest.approx(48.0), 0.0),
    ]
    assert found.kidney_ml == pytest.approx(112.0)
    assert found.tumours == ()
    assert found.sentences() == ()
    assert not found.horseshoe


def test_tumours_are_listed_by_size_with_side_volume_and_diameter():
    mask = with_box(with_box(empty(), (40, 55)), (95, 115))
    with_box(mask, (100, 105), 2, (55, 60), (12, 15))
    with_box(mask, (45, 55), 2, (50, 60), (12, 16))
    found = measure(mask, volume_of())
    assert [t.side for t in found.tumours] == ["left", "right"]
    assert found.tumours[0].ml == pytest.approx(6.4)
    assert found.tumour_ml == pytest.approx(6.4 + 1.2)
    left = found.kidney("left")
    assert left is not None
    assert (left.ml, left.tumour_ml) == (pytest.approx(48 - 6.4), pytest.approx(6.4))
    assert found.tumours[1].longest_mm == pytest.approx(longest_diameter_mm(np.ones((5, 5, 3), bool), SPACING))


def test_tumour_across_the_midline_has_the_side_of_its_kidney():
    mask = with_box(empty(), (25, 50))
    with_box(mask, (50, 95), 2)
    found = measure(mask, volume_of())
    assert [t.side for t in found.tumours] == ["left"]
    assert [k.side for k in found.kidneys] == ["left"]
    assert not found.horseshoe


def test_specks_are_no_kidneys_and_no_tumours_but_count_in_the_totals():
    mask = with_box(with_box(empty(), (40, 55)), (95, 96), y=(50, 51))
    mask[100, 60, 15] = 2
    found = measure(mask, volume_of())
    assert [k.side for k in found.kidneys] == ["left"]
    assert found.tumours == ()
    assert found.tumour_ml == pytest.approx(0.016)
    assert found.kidney_ml == pytest.approx(48.0 + 0.16)
    assert "Only the left kidney" in found.sentences()[0]
    assert found.kidney("right") is None


def test_horseshoe_kidney_is_split_at_the_midline():
    mask = with_box(empty(), (45, 105))
    found = measure(mask, volume_of())
    assert found.horseshoe
    assert [(k.side, k.ml) for k in found.kidneys] == [("right", pytest.approx(96.0)), ("left", pytest.approx(96.0))]
    assert "joined" in found.sentences()[0]


def test_a_kidney_in_two_pieces_is_one_kidney():
    mask = with_box(with_box(empty(), (95, 115)), (95, 115), z=(22, 28))
    assert [k.side for k in measure(mask, volume_of()).kidneys] == ["right"]


def test_more_than_two_kidneys_are_listed_one_by_one():
    """Two scans of one patient in one file, the second on top of the first."""
    shape = (150, 100, 60)
    mask = empty(shape)
    for z in ((10, 20), (40, 50)):
        with_box(with_box(mask, (40, 55), z=z), (95, 115), z=z)
    found = measure(mask, volume_of(shape))
    assert [(k.side, k.ml) for k in found.kidneys] == [
        ("right", pytest.approx(64)),
        ("right", pytest.approx(64)),
        ("left", pytest.approx(48)),
        ("left", pytest.approx(48)),
    ]
    assert found.sentences() == ("4 kidney-sized bodies were found. Does the file hold two scans?",)


@pytest.mark.parametrize(("oriented", "volume_oriented"), [(False, True), (True, False)])
def test_no_side_is_given_where_the_orientation_is_unknown(oriented, volume_oriented):
    mask = with_box(with_box(empty(), (40, 55)), (95, 115))
    with_box(mask, (45, 55), 2, (50, 60), (12, 16))
    found = measure(mask, replace(volume_of(), oriented=volume_oriented), oriented=oriented)
    assert [(k.side, k.ml + k.tumour_ml) for k in found.kidneys] == [
        (None, pytest.approx(64.0)),
        (None, pytest.approx(48.0)),
    ]
    assert [t.side for t in found.tumours] == [None]
    (sentence,) = found.sentences()
    assert "left and right cannot be verified" in sentence
    assert ("header" in sentence) is not oriented
    assert json.loads(json.dumps(found.to_dict()))["kidneys"][0]["side"] is None


def test_nothing_found_says_so_and_everything_is_ready_for_json():
    nothing = measure(empty(), volume_of())
    assert nothing == Findings((), (), 0.0, 0.0)
    assert "No kidneys were found" in nothing.sentences()[0]
    mask = with_box(with_box(empty(), (40, 55)), (45, 50), 2, (55, 60), (12, 15))
    values = json.loads(json.dumps(measure(mask, volume_of()).to_dict()))
    assert values["kidneys"][0]["side"] == "left"
    assert values["tumours"][0].keys() == {"side", "ml", "longest_mm", "centre", "kidney_contact", "confidence"}
    assert values["horseshoe"] is False


def test_objects_far_apart_take_no_memory_of_the_box_around_them():
    """On 512 x 512 x 600 voxels, where one number per voxel of the box around both takes 600 MB."""
    hu = np.zeros((512, 512, 600), np.int16, order="F")
    mask = np.zeros(hu.shape, np.uint8, order="F")
    mask[5:60, 5:60, 5:60] = mask[450:510, 450:510, 540:598] = 1
    mask[455:470, 455:470, 545:560] = 2
    volume = Volume(hu, (0.75, 0.75, 1.0), np.diag([0.75, 0.75, 1.0, 1.0]))
    tracemalloc.start()
    found = measure(mask, volume)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [kidney.side for kidney in found.kidneys] == ["right", "left"]
    assert [tumour.side for tumour in found.tumours] == ["right"]
    assert peak < 60e6


def test_sides_on_a_real_ct(data_dir):
    volume = load_volume(data_dir / "btcv" / "btcv0027_ct.nii.gz")
    organs, _ = load_mask(data_dir / "btcv" / "btcv0027_label13.nii.gz")
    for labels in ((2, 3), (2,), (3,)):  # 2 right kidney, 3 left kidney
        found = measure(np.asfortranarray(np.isin(organs, labels), np.uint8), volume)
        assert [kidney.side for kidney in found.kidneys] == [{2: "right", 3: "left"}[label] for label in labels]
        for kidney, label in zip(found.kidneys, labels, strict=True):
            assert kidney.ml == pytest.approx(np.count_nonzero(organs == label) * volume.voxel_ml, rel=0.01)
