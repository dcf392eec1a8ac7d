import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.findings import Findings, longest_diameter_mm, measure
from kidneyseg.imaging.volume import Volume

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "btcv"
SPACING = (2.0, 2.0, 4.0)
SHAPE = (150, 100, 30)


def volume_of(shape=SHAPE, spacing=SPACING, body=None):
    """Air around a body that fills these x (default: 20 voxels in from both sides)."""
    hu = np.full(shape, -1000, np.int16, order="F")
    hu[body or slice(20, shape[0] - 20), 10:-10] = 30
    return Volume(hu, spacing, np.diag([*spacing, 1.0]))


def with_box(mask, x, label=1, y=(40, 60), z=(10, 20)):
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
    with_box(mask, (100, 105), 2, (45, 50), (12, 15))
    with_box(mask, (45, 55), 2, (40, 50), (12, 16))
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
    found = measure(mask, volume_of(body=slice(20, 130)))
    assert [t.side for t in found.tumours] == ["left"]
    assert [k.side for k in found.kidneys] == ["left"]
    assert not found.horseshoe


def test_specks_are_no_kidneys_and_no_tumours_but_count_in_the_totals():
    mask = with_box(with_box(empty(), (40, 55)), (95, 96), y=(40, 41))
    mask[100, 50, 15] = 2
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


def test_one_kidney_in_the_middle_of_a_small_field_of_view_is_no_horseshoe():
    shape = (40, 60, 30)
    mask = with_box(empty(shape), (8, 33), y=(20, 40))
    found = measure(mask, volume_of(shape, body=slice(0, 40)))
    assert not found.horseshoe
    assert len(found.kidneys) == 1


def test_two_kidneys_beside_an_off_centre_midline_are_still_left_and_right():
    mask = with_box(with_box(empty(), (10, 25)), (60, 80))
    found = measure(mask, volume_of(body=slice(0, 150)))  # the body's middle is at 75
    assert [k.side for k in found.kidneys] == ["right", "left"]


def test_a_kidney_in_two_pieces_is_one_kidney():
    mask = with_box(with_box(empty(), (95, 115)), (95, 115), z=(22, 28))
    assert [k.side for k in measure(mask, volume_of()).kidneys] == ["right"]


def test_nothing_found_says_so_and_everything_is_ready_for_json():
    nothing = measure(empty(), volume_of())
    assert nothing == Findings((), (), 0.0, 0.0)
    assert "No kidneys were found" in nothing.sentences()[0]
    mask = with_box(with_box(empty(), (40, 55)), (45, 50), 2, (45, 50), (12, 15))
    values = json.loads(json.dumps(measure(mask, volume_of()).to_dict()))
    assert values["kidneys"][0]["side"] == "left"
    assert values["tumours"][0].keys() == {"side", "ml", "longest_mm"}
    assert values["horseshoe"] is False


def test_a_mask_over_air_only_still_has_sides():
    volume = Volume(np.full(SHAPE, -1000, np.int16, order="F"), SPACING, np.eye(4))
    assert [k.side for k in measure(with_box(empty(), (95, 115)), volume).kidneys] == ["right"]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 1, 1), 4.0),  # the longest edge
        ((5, 1, 1), 10.0),
        ((1, 1, 3), 12.0),
        ((4, 4, 1), np.hypot(6, 6) + 2 * np.sqrt(2)),
    ],
)
def test_longest_diameter_of_boxes(shape, expected):
    assert longest_diameter_mm(np.ones(shape, bool), SPACING) == pytest.approx(expected)


def test_longest_diameter_of_nothing_a_large_ball_and_a_large_disc():
    assert longest_diameter_mm(np.zeros((3, 3, 3), bool), SPACING) == 0.0
    x, y, z = np.ogrid[-40:41, -40:41, -20:21]
    ball = (x * 1.0) ** 2 + (y * 1.0) ** 2 + (z * 2.0) ** 2 <= 40**2
    assert longest_diameter_mm(ball, (1.0, 1.0, 2.0)) == pytest.approx(81.5, abs=1.0)
    disc = np.zeros((900, 900, 1), bool)
    disc[:, :, 0] = np.ogrid[-450:450] ** 2 + (np.ogrid[-450:450] ** 2)[:, None] <= 449**2
    assert longest_diameter_mm(disc, (1.0, 1.0, 1.0)) == pytest.approx(899.5, abs=1.0)


def test_sides_on_a_real_ct():
    path = DATA / "btcv0027_label13.nii.gz"
    if not path.exists():
        pytest.skip(f"needs {path.name} in shared/data/btcv")
    image = nib.load(path)
    spacing = tuple(float(s) for s in image.header.get_zooms()[:3])
    slices = (..., slice(35, 65))  # of 88; holds both kidneys
    organs = np.asfortranarray(image.dataobj[slices], np.uint8)
    hu = np.asfortranarray(nib.load(DATA / "btcv0027_ct.nii.gz").dataobj[slices], np.int16)
    volume = Volume(hu, spacing, np.diag([*spacing, 1.0]))
    found = measure(((organs == 2) | (organs == 3)).astype(np.uint8, order="F"), volume)
    for side, label in (("right", 2), ("left", 3)):
        kidney = found.kidney(side)
        assert kidney is not None
        assert kidney.ml == pytest.approx(np.count_nonzero(organs == label) * volume.voxel_ml, rel=0.01)
