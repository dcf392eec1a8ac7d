from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kidneyseg.findings import Findings, KidneyFinding
from kidneyseg_gui.middles import kidney_middles, tumour_middles

SPACING = (2.0, 2.0, 3.0)
ML = 0.012  # of a voxel


def mask_of(*boxes: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Boxes (label, first x, width, height) that are 10 voxels deep."""
    mask = np.zeros((60, 20, 30), np.uint8)
    for label, x, width, height in boxes:
        mask[x : x + width, 5:15, 2 : 2 + height] = label
    return mask


def findings_of(*kidneys: tuple[str | None, float], horseshoe: bool = False) -> Findings:
    found = tuple(KidneyFinding(side, 100 * voxels * ML / 10, 0.0) for side, voxels in kidneys)
    return Findings(found, (), 0.0, 0.0, horseshoe=horseshoe)


def test_each_kidney_of_the_findings_leads_to_its_own_centre():
    mask = mask_of((1, 40, 6, 10), (1, 10, 6, 12), (2, 12, 2, 4))
    middles, largest = kidney_middles(mask, findings_of(("right", 60), ("left", 72)), SPACING)
    assert middles == ((42, 10, 6), (12, 10, 8))
    assert largest == middles[1]


@pytest.mark.parametrize("side", ["right", "left"])
def test_of_a_kidney_in_pieces_the_largest_is_shown(side: str):
    """The second largest component lies on the side of the first one."""
    mask = mask_of((1, 40, 6, 10), (1, 50, 5, 8), (1, 10, 4, 6))
    if side == "left":
        mask = mask[::-1]
    kidneys = [("right", 100), ("left", 24)] if side == "right" else [("right", 24), ("left", 100)]
    middles, _ = kidney_middles(mask, findings_of(*kidneys), SPACING)
    x = [middle[0] for middle in middles]
    assert x == pytest.approx([42, 12] if side == "right" else [47, 17], abs=1)


def test_a_single_kidney_is_not_looked_for_on_the_other_side():
    mask = mask_of((1, 40, 6, 10), (1, 10, 1, 2))  # the small piece is too small to be listed
    (middle,), _ = kidney_middles(mask, findings_of(("right", 60)), SPACING)
    assert middle == (42, 10, 6)


def test_kidneys_without_sides_are_shown_from_the_right():
    mask = mask_of((1, 40, 6, 10), (1, 25, 6, 12), (1, 10, 6, 9))
    middles, _ = kidney_middles(mask, findings_of((None, 60), (None, 72), (None, 54)), SPACING)
    assert [middle[0] for middle in middles] == pytest.approx([42, 27, 12], abs=1)


def test_a_horseshoe_kidney_has_two_centres():
    mask = mask_of((1, 10, 40, 10))
    middles, _ = kidney_middles(mask, findings_of(("right", 200), ("left", 200), horseshoe=True), SPACING)
    assert [middle[0] for middle in middles] == pytest.approx([40, 20], abs=1)


def test_an_empty_mask_has_no_centre():
    assert kidney_middles(mask_of(), findings_of(), SPACING) == ((), None)
    assert tumour_middles(mask_of((1, 10, 6, 12))) == ()


def test_tumours_are_listed_by_size():
    mask = mask_of((1, 10, 30, 10), (2, 12, 2, 4), (2, 30, 4, 4))
    assert [middle[0] for middle in tumour_middles(mask)] == pytest.approx([32, 12], abs=1)
