"""Every voxel of a mask belongs to one numbered object, of its own label and of the finding that was measured on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kidneyseg.findings import CystFinding, KidneyFinding, TumourFinding, measure
from kidneyseg.findings.numbering import find_instances
from kidneyseg.findings.owners import LEAST_TUMOUR_ML
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume

SPACING = (2.0, 2.0, 4.0)
SHAPE = (150, 100, 30)
Array = np.ndarray[Any, Any]


def volume() -> Volume:
    """Air around a body with a spine in its middle; x grows to the patient's right."""
    hu = np.full(SHAPE, -1000, np.int16, order="F")
    hu[20:-20, 10:-10] = 120
    hu[67:83, 14:40] = 300
    return Volume(hu, SPACING, np.diag([*SPACING, 1.0]))


def boxes(*placed: tuple[int, tuple[int, int], tuple[int, int], tuple[int, int]]) -> Array:
    mask = np.zeros(SHAPE, np.uint8, order="F")
    for label, x, y, z in placed:
        mask[slice(*x), slice(*y), slice(*z)] = label
    return mask


LEFT, RIGHT = (KIDNEY, (40, 55), (50, 70), (10, 20)), (KIDNEY, (95, 115), (50, 70), (10, 20))
BOTH = (LEFT, RIGHT)


def checked(mask: Array, oriented: bool = True) -> Any:
    """The instances, after what holds of all."""
    ct = volume()
    findings = measure(mask, ct, oriented=oriented)
    found = find_instances(mask, ct, findings)
    of_number = np.array([0, *(one.label for one in found.objects)])
    np.testing.assert_array_equal(of_number[found.numbers], mask)
    counts = np.bincount(found.numbers.ravel(), minlength=len(found.objects) + 1)[1:]
    assert counts.all()
    for one, voxels in zip(found.objects, counts, strict=True):
        if one.finding is not None:
            assert one.finding.ml == pytest.approx(voxels * ct.voxel_ml)
            x, y, z = one.finding.centre
            assert found.objects[found.numbers[x, y, z] - 1] is one
            assert one.side == one.finding.side
    return found


def test_kidneys_tumours_and_cysts_are_numbered_in_the_order_of_the_findings() -> None:
    tumours = (TUMOUR, (45, 55), (50, 60), (12, 16)), (TUMOUR, (100, 105), (55, 60), (12, 15))
    found = checked(boxes(*BOTH, *tumours, (CYST, (108, 112), (52, 56), (14, 18))))
    kinds = [(one.label, one.side, type(one.finding)) for one in found.objects]
    assert kinds == [
        (KIDNEY, "right", KidneyFinding),
        (KIDNEY, "left", KidneyFinding),
        (TUMOUR, "left", TumourFinding),
        (TUMOUR, "right", TumourFinding),
        (CYST, "right", CystFinding),
    ]


def test_a_horseshoe_kidney_is_split_as_it_was_measured() -> None:
    found = checked(boxes(*BOTH, (KIDNEY, (55, 95), (50, 60), (12, 14))))
    assert [one.side for one in found.objects] == ["right", "left"]
    assert (found.numbers[:75] != 1).all()
    assert (found.numbers[76:] != 2).all()


def test_without_sides_each_kidney_sized_component_is_one() -> None:
    found = checked(boxes(*BOTH), oriented=False)
    assert [one.side for one in found.objects] == [None, None]


def test_voxels_of_no_finding_are_one_object_of_their_label() -> None:
    crumb = (TUMOUR, (30, 31), (30, 31), (5, 6))
    assert np.prod(SPACING) / 1000 < LEAST_TUMOUR_ML
    found = checked(boxes(*BOTH, crumb, (TUMOUR, (125, 126), (30, 31), (5, 6))))
    last = found.objects[-1]
    assert (last.label, last.side, last.finding) == (TUMOUR, None, None)
    assert np.count_nonzero(found.numbers == len(found.objects)) == 2


def test_small_kidney_pieces_alone_are_one_object() -> None:
    found = checked(boxes((KIDNEY, (40, 42), (50, 52), (10, 12)), (KIDNEY, (60, 62), (50, 52), (10, 12))))
    assert [(one.label, one.finding) for one in found.objects] == [(KIDNEY, None)]


def test_more_objects_than_a_byte_counts() -> None:
    many = boxes(*BOTH)
    for x in range(20, 128, 3):
        for y in range(14, 38, 3):
            many[x : x + 2, y : y + 2, 4:6] = CYST
    found = checked(many)
    assert len(found.objects) > 255
    assert found.numbers.dtype == np.uint16


def test_an_empty_mask_has_none() -> None:
    assert checked(boxes()).objects == ()


def test_findings_of_another_mask_are_refused() -> None:
    with pytest.raises(ValueError, match="not those of the mask"):
        find_instances(boxes(*BOTH), volume(), measure(boxes(LEFT), volume()))
