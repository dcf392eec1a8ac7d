"""Cysts, and the voxel that stands for each object."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kidneyseg.findings import measure
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume

SPACING, SHAPE = (2.0, 2.0, 4.0), (150, 100, 30)
VOXEL_ML = 0.016


def volume() -> Volume:
    hu = np.full(SHAPE, -1000, np.int16, order="F")
    hu[20:-20, 10:-10] = 120
    hu[67:83, 14:40] = 300
    return Volume(hu, SPACING, np.diag([*SPACING, 1.0]))


def mask_of(*boxes: tuple[int, int, int, int, int, int, int]) -> np.ndarray:
    """Boxes (x0, x1, y0, y1, z0, z1, label)."""
    mask = np.zeros(SHAPE, np.uint8, order="F")
    for x0, x1, y0, y1, z0, z1, label in boxes:
        mask[x0:x1, y0:y1, z0:z1] = label
    return mask


LEFT, RIGHT = (40, 55, 50, 70, 10, 20, KIDNEY), (95, 115, 50, 70, 10, 20, KIDNEY)
# On the left kidney and beyond its lower end; inside the right one.
CYSTS = (45, 50, 50, 55, 6, 12, CYST), (100, 104, 60, 64, 14, 16, CYST)


def test_cysts_are_listed_and_are_no_kidney_tissue() -> None:
    found = measure(mask_of(LEFT, RIGHT, *CYSTS), volume())
    assert [(c.side, c.ml) for c in found.cysts] == [
        ("left", pytest.approx(150 * VOXEL_ML)),
        ("right", pytest.approx(32 * VOXEL_ML)),
    ]
    assert found.cyst_ml == pytest.approx(182 * VOXEL_ML)
    left, right = found.kidney("left"), found.kidney("right")
    assert left is not None
    assert right is not None
    assert left.ml == pytest.approx((3000 - 50) * VOXEL_ML)
    assert right.ml == pytest.approx((4000 - 32) * VOXEL_ML)
    assert found.kidney_ml == pytest.approx(left.ml + right.ml)
    assert left.tumour_ml == right.tumour_ml == found.tumour_ml == 0
    assert found.tumours == ()
    assert found.cysts[1].longest_mm == pytest.approx(np.sqrt(6**2 + 6**2 + 4**2) + (6 * 2 + 6 * 2 + 4 * 4) / 88**0.5)


def test_a_cyst_has_the_side_of_the_kidney_that_it_touches() -> None:
    """By a corner, and reaching far across the midline."""
    found = measure(mask_of(LEFT, (55, 95, 70, 74, 20, 24, CYST)), volume())
    assert [c.side for c in found.cysts] == ["left"]
    assert [k.side for k in found.kidneys] == ["left"]
    assert not found.horseshoe


def test_a_large_cyst_is_no_kidney() -> None:
    found = measure(mask_of(LEFT, RIGHT, (95, 115, 50, 70, 22, 29, CYST)), volume())
    assert found.cyst_ml > 40
    assert found.kidney_sized == 2
    assert len(found.kidneys) == 2
    alone = measure(mask_of((95, 115, 50, 70, 10, 20, CYST)), volume())
    assert alone.kidneys == ()
    assert alone.cysts[0].side == "right"


def test_specks_are_not_listed_but_count() -> None:
    mask = mask_of(LEFT, RIGHT, (45, 50, 50, 60, 12, 16, TUMOUR))
    found = measure(mask, volume())
    mask[41, 51, 11] = CYST
    speck = measure(mask, volume())
    assert speck.cysts == ()
    assert speck.cyst_ml == pytest.approx(VOXEL_ML)
    assert speck.tumours == found.tumours
    assert found.cysts == ()
    assert found.cyst_ml == 0
    assert speck.kidney_ml == pytest.approx(found.kidney_ml - VOXEL_ML)


def test_centres_lie_in_their_objects() -> None:
    boxes = (45, 50, 50, 55, 12, 17, TUMOUR), (100, 105, 50, 55, 10, 15, CYST)
    mask = mask_of(LEFT, RIGHT, *boxes)
    mask[100:110, 55:65] = 0  # hollow: the centre of mass is outside
    found = measure(mask, volume())
    assert found.tumours[0].centre == (47, 52, 14)
    assert found.cysts[0].centre == (102, 52, 12)
    for kidney in found.kidneys:
        assert mask[kidney.centre] == KIDNEY
    assert (found.kidneys[0].centre[0] > 75, found.kidneys[1].centre[0] > 75) == (True, False)
    values = json.loads(json.dumps(found.to_dict()))
    assert values["tumours"][0]["centre"] == [47, 52, 14]
    assert values["cysts"][0]["centre"] == [102, 52, 12]
    assert values["kidneys"][0]["centre"] == list(found.kidneys[0].centre)


def test_the_centre_of_a_kidney_in_pieces_or_in_a_horseshoe_or_of_tumour_alone() -> None:
    pieces = measure(mask_of(RIGHT, (95, 115, 50, 70, 22, 24, KIDNEY)), volume())
    assert 10 <= pieces.kidneys[0].centre[2] < 20
    horseshoe = measure(mask_of((45, 105, 50, 70, 10, 20, KIDNEY)), volume())
    assert [kidney.centre[0] for kidney in horseshoe.kidneys] == [89, 59]
    tumour = measure(mask_of((95, 115, 50, 70, 10, 20, TUMOUR)), volume())
    assert tumour.kidneys[0].centre == tumour.tumours[0].centre
