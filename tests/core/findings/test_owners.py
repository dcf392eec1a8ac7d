"""Which kidney a component belongs to, and which pieces are listed; what follows from it is in test_measure.py."""

from __future__ import annotations

import numpy as np

from kidneyseg.findings.owners import find_owners, listed_kidneys, listed_pieces, side_of
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.imaging.volume import Volume


def volume() -> Volume:
    hu = np.full((150, 100, 30), 40, np.int16, order="F")
    return Volume(hu, (2.0, 2.0, 4.0), np.diag([2.0, 2.0, 4.0, 1.0]))


def mask_of_two() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    mask = np.zeros((150, 100, 30), np.uint8, order="F")
    mask[30:45, 50:70, 10:20] = mask[105:125, 50:70, 10:20] = 1
    return mask


def test_two_kidneys_own_their_components_right_before_left() -> None:
    owners = find_owners(mask_of_two(), volume())
    assert owners is not None
    found = list(listed_kidneys(owners, volume()))
    assert [kidney.side for kidney, _, _ in found] == ["right", "left"]
    assert [round(tissue) for _, tissue, _ in found] == [64, 48]
    assert not (owners.kidneys[0].own & owners.kidneys[1].own).any()


def test_pieces_are_listed_from_a_least_volume_on_and_largest_first() -> None:
    mask = mask_of_two()
    mask[32:34, 55:57, 12] = mask[110:114, 55:57, 12] = TUMOUR
    mask[40, 60, 15] = TUMOUR
    owners = find_owners(mask, volume())
    assert owners is not None
    assert [piece.voxels for piece in listed_pieces(TUMOUR, owners, volume())] == [8, 4]


def test_an_empty_mask_has_no_owners_and_an_unknown_side_no_name() -> None:
    assert find_owners(np.zeros((150, 100, 30), np.uint8), volume()) is None
    assert (side_of(True, ""), side_of(False, ""), side_of(True, "no spine is seen")) == ("right", "left", None)
