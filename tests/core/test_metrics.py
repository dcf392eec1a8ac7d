import numpy as np
import pytest

from kidneyseg.metrics import (
    _surface_area,
    confusion,
    dice,
    kits19_dice,
    kits23_dice,
    kits23_surface_dice,
    point_iou,
    surface_dice,
)


def box(shape, start, stop):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


def ball(radius_mm, spacing, shape=(60, 60, 60)):
    distance = sum(
        ((g - n / 2 + 0.5) * s) ** 2 for g, n, s in zip(np.ogrid[:60, :60, :60], shape, spacing, strict=True)
    )
    return distance <= radius_mm**2


def test_dice_by_hand_and_for_empty_masks():
    a, b = np.array([1, 1, 1, 0]), np.array([0, 1, 1, 1])
    assert dice(a, b) == pytest.approx(2 / 3)
    assert dice(a, a) == 1.0
    assert dice(a * 0, b * 0) == 1.0
    assert dice(a * 0, b) == 0.0


def test_dice_does_not_overflow_and_refuses_other_shapes():
    assert dice(np.full(300, 2, np.uint8), np.full(300, 1, np.uint8)) == 1.0
    with pytest.raises(ValueError, match=r"\(3,\).*\(4,\)"):
        dice(np.zeros(3), np.zeros(4))


def test_kits19_counts_tumour_as_kidney_too():
    truth = np.array([0, 1, 1, 2, 2, 0], np.uint8).reshape(1, 2, 3)
    pred = np.array([0, 1, 2, 2, 1, 0], np.uint8).reshape(1, 2, 3)
    assert kits19_dice(pred, truth) == {"kidney": 1.0, "tumour": 0.5}
    assert kits19_dice(truth * 0, truth * 0) == {"kidney": 1.0, "tumour": 1.0}


def test_kits23_classes_are_nested():
    truth = np.array([1, 2, 3, 0], np.uint8).reshape(1, 1, 4)
    pred = np.array([1, 3, 2, 0], np.uint8).reshape(1, 1, 4)
    assert kits23_dice(pred, truth) == {"kidney_and_masses": 1.0, "masses": 1.0, "tumour": 0.0}


def test_surface_dice_of_shifted_boxes():
    shape = (20, 20, 20)
    a, b = box(shape, (5, 5, 5), (15, 15, 15)), box(shape, (7, 5, 5), (17, 15, 15))
    assert surface_dice(a, a, (1.0,) * 3, 0.0) == 1.0
    assert surface_dice(a, b, (1.0,) * 3, 2.0) == 1.0
    # Without tolerance both faces across the shift are off, one but for its edges, and 2 of 10 rows of four sides.
    assert surface_dice(a, b, (1.0,) * 3, 0.5) == pytest.approx(1 - (1 + 0.8**2 + 4 * 0.2) / 6, abs=0.01)


def test_surface_dice_knows_millimetres():
    shape = (20, 20, 20)
    a, b = box(shape, (5, 5, 5), (15, 15, 15)), box(shape, (5, 5, 5), (15, 15, 14))
    assert surface_dice(a, b, (1.0, 1.0, 3.0), 2.9) < 1.0
    assert surface_dice(a, b, (1.0, 1.0, 3.0), 3.0) == 1.0


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ([0], np.sqrt(1.5) / np.sqrt(32)),  # a triangle across one corner
        ([0, 1], np.sqrt(0.5)),  # a bevel along one edge
        ([0, 1, 2, 3], 1.0),  # a flat face
        ([0, 7], 2 * np.sqrt(1.5) / np.sqrt(32)),  # two corners, diagonally opposite
        ([], 0.0),
        (list(range(8)), 0.0),
    ],
)
def test_surface_elements_by_hand(inside, expected):
    voxels = np.isin(np.arange(8), inside).reshape(2, 2, 2)
    assert _surface_area(voxels, (1.0, 1.0, 1.0)).item() == pytest.approx(expected)
    assert _surface_area(~voxels, (1.0, 1.0, 1.0)).item() == pytest.approx(expected)


def test_surface_elements_grow_with_the_voxel():
    flat = np.array([0, 0, 0, 0, 1, 1, 1, 1], bool).reshape(2, 2, 2)  # parted along x
    assert _surface_area(flat, (9.0, 0.5, 3.0)).item() == pytest.approx(1.5)


def test_surface_weighs_by_area():
    spacing = (1.0, 1.0, 2.0)
    wide, narrow = ball(24, spacing), ball(21, spacing)
    far = surface_dice(wide, narrow, spacing, 1.0)
    near = surface_dice(wide, narrow, spacing, 4.5)
    assert far < 0.05
    assert near == 1.0


def test_surface_dice_of_empty_masks_and_at_the_border():
    full = np.ones((3, 3, 3), bool)
    assert surface_dice(full, full, (1.0,) * 3, 1.0) == 1.0
    assert surface_dice(full, ~full, (1.0,) * 3, 1.0) == 0.0
    assert surface_dice(~full, ~full, (1.0,) * 3, 1.0) == 1.0


def test_kits23_surface_dice_uses_each_class_tolerance():
    truth = np.zeros((12, 12, 12), np.uint8)
    truth[2:8, 2:8, 2:8] = 2
    shifted = np.roll(truth, 1, axis=0)
    assert kits23_surface_dice(truth, truth, (1.0,) * 3) == dict.fromkeys(
        ("kidney_and_masses", "masses", "tumour"), 1.0
    )
    within = {
        step: [score == 1.0 for score in kits23_surface_dice(shifted, truth, (step, 1.0, 1.0)).values()]
        for step in (1.03, 1.1, 1.14, 1.2)
    }
    assert list(within.values()) == [[True] * 3, [False, True, True], [False, False, True], [False] * 3]


def test_point_iou_is_pooled_and_complete():
    truth = np.array([0, 0, 0, 1, 1, 2], np.uint8)
    pred = np.array([0, 0, 1, 1, 1, 1], np.uint8)
    table = confusion(pred, truth, 4)
    assert table.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert point_iou(table) == [pytest.approx(2 / 3), pytest.approx(0.5), 0.0, 1.0]
    assert point_iou(table + confusion(truth, truth, 4)) == [pytest.approx(5 / 6), pytest.approx(4 / 6), 0.5, 1.0]
    assert point_iou(confusion(truth[:0], truth[:0], 2)) == [1.0, 1.0]


def test_kits19_counts_cysts_as_kidney():
    truth = np.array([0, 1, 2, 3], np.uint8).reshape(1, 1, 4)
    assert kits19_dice(np.minimum(truth, 2), truth)["tumour"] == pytest.approx(2 / 3)
    assert kits19_dice(np.where(truth == 3, 1, truth).astype(np.uint8), truth) == {"kidney": 1.0, "tumour": 1.0}
