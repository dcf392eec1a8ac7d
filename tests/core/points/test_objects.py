"""Which objects stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.objects import cut_thin_bridges, keep_kidneys, remove_small_lesions

CELL = Lattice((10.0, 10.0, 10.0), (200, 9, 9))  # 1 mL each


def cloud(objects: list[tuple[int, int]]) -> tuple[PointCloud, np.ndarray]:
    """Objects of so many kidney and so many tumour cells."""
    labels = np.concatenate([np.repeat([KIDNEY, TUMOUR], pair) for pair in objects]).astype(np.uint8)
    ids = np.repeat(np.arange(len(objects), dtype=np.int32), [sum(pair) for pair in objects])
    index = np.stack([np.arange(len(labels)) + 3, *np.full((2, len(labels)), 4)], axis=1).astype(np.int32)
    return PointCloud(CELL, index, np.zeros(len(labels), np.int16), labels), ids


def test_the_two_with_most_kidney_stay_with_their_tumours() -> None:
    kept, ids = keep_kidneys(*cloud([(9, 30), (20, 0), (15, 2), (6, 0)]))
    assert sorted(set(ids.tolist())) == [1, 2]
    assert (kept.labels == TUMOUR).sum() == 2


def test_more_kidneys_of_40_ml_stay() -> None:
    """Two scans in one file have four kidneys."""
    _, ids = keep_kidneys(*cloud([(60, 0), (39, 9), (40, 0), (50, 0), (4, 0)]))
    assert sorted(set(ids.tolist())) == [0, 2, 3]


def test_tumour_without_kidney_and_fragments_go() -> None:
    kept, ids = keep_kidneys(*cloud([(20, 1), (4, 0), (0, 40)]))
    assert set(ids.tolist()) == {0}
    assert len(kept) == 21


@pytest.mark.parametrize(("axis", "end"), [(1, 0), (1, 8), (2, 1), (2, 7)])
def test_little_of_a_kidney_is_enough_where_the_scan_ends(axis: int, end: int) -> None:
    points, ids = cloud([(20, 1), (1, 3)])
    assert set(keep_kidneys(points, ids)[1].tolist()) == {0}
    index = points.index.copy()
    index[ids == 1, axis] = end
    assert set(keep_kidneys(replace(points, index=index), ids)[1].tolist()) == {0, 1}
    none_left = replace(points, index=index, labels=np.where(ids == 1, TUMOUR, KIDNEY).astype(np.uint8))
    assert set(keep_kidneys(none_left, ids)[1].tolist()) == {0}


def test_nothing_stays_nothing() -> None:
    kept, ids = keep_kidneys(*cloud([(2, 0)]))
    assert len(kept) == len(ids) == 0
    again, _ = keep_kidneys(kept, ids)
    assert len(again) == 0


def test_small_tumours_become_kidney() -> None:
    fine = Lattice((5.0, 5.0, 5.0), (9, 9, 9))  # 0.125 mL a cell
    index = np.array([[0, 0, 0], [1, 1, 1], [4, 4, 4], [4, 4, 5], [4, 5, 5], [8, 8, 8]], np.int32)
    labels = np.array([TUMOUR, TUMOUR, TUMOUR, TUMOUR, TUMOUR, TISSUE], np.uint8)
    probability = np.array([[0.1, 0.3, 0.6]] * 4 + [[0.1, 0.05, 0.85], [0.8, 0.1, 0.1]], np.float16)
    points = PointCloud(fine, index, np.zeros(6, np.int16), labels, probability)
    kept = remove_small_lesions(points)
    assert kept.labels.tolist() == [KIDNEY, KIDNEY, TUMOUR, TUMOUR, TUMOUR, TISSUE], (
        "two cells are too small, three are not"
    )
    np.testing.assert_allclose(kept.probability[0], [0.1, 0.9, 0.0], atol=1e-3)
    assert (kept.probability[2:] == probability[2:]).all()
    assert (points.labels == labels).all(), "the input stays as it was"


def test_small_cysts_become_kidney_and_large_ones_stay() -> None:
    points, _ = solid((CYST, (0, 20), (0, 20)), (CYST, (40, 42), (0, 2)))
    probability = np.tile(np.array([0.05, 0.05, 0.05, 0.85], np.float16), (len(points), 1))
    kept = remove_small_lesions(replace(points, probability=probability))
    small = points.index[:, 0] >= 10
    assert small.any()
    assert kept.labels.tolist() == np.where(small, KIDNEY, CYST).tolist()
    np.testing.assert_allclose(kept.probability[small], [[0.05, 0.9, 0.05, 0.0]] * small.sum(), atol=1e-3)


def test_tumour_that_is_nowhere_sure_becomes_kidney() -> None:
    points, _ = solid((TUMOUR, (0, 20), (0, 20)), (TUMOUR, (40, 60), (0, 20)))
    probability = np.tile(np.array([0.1, 0.2, 0.7], np.float16), (len(points), 1))
    probability[-1] = 0.1, 0.05, 0.85
    kept = remove_small_lesions(replace(points, probability=probability))
    assert kept.labels.tolist() == np.where(points.index[:, 0] < 10, KIDNEY, TUMOUR).tolist()
    assert kept.probability is not None
    assert (kept.probability.sum(1) > 0.99).all()


def test_without_tumour_nothing_changes() -> None:
    points, _ = cloud([(5, 0)])
    assert remove_small_lesions(points) is points


def solid(*boxes: tuple[int, tuple[int, int], tuple[int, int]]) -> tuple[PointCloud, np.ndarray]:
    """One object of boxes, 24 mm deep, on 2 mm cells: each its label, and where it reaches in x and y, in mm."""
    labels = np.zeros((120, 30, 12), np.uint8)
    for label, (x0, x1), (y0, y1) in boxes:
        labels[x0 // 2 : x1 // 2, y0 // 2 : y1 // 2] = label
    index = np.argwhere(labels).astype(np.int32)
    lattice = Lattice((2.0, 2.0, 2.0), labels.shape)
    points = PointCloud(lattice, index, np.zeros(len(index), np.int16), labels[tuple(index.T)])
    return points, np.zeros(len(index), np.int32)


A_KIDNEY = (KIDNEY, (0, 50), (0, 50))  # 60 mL


def test_a_part_on_a_thin_bridge_goes() -> None:
    bowel = (TUMOUR, (60, 100), (0, 40)), (KIDNEY, (90, 100), (0, 20))
    other = (KIDNEY, (110, 150), (0, 40))
    bridge = (KIDNEY, (50, 110), (40, 44))
    kept, ids = cut_thin_bridges(*solid(A_KIDNEY, *bowel, other, bridge))
    assert len(ids) == len(kept)
    assert (kept.labels == TUMOUR).sum() < 10
    assert (kept.index[:, 0] < 25).sum() == 25 * 25 * 12
    assert (kept.index[:, 0] >= 56).sum() >= 19 * 20 * 12


@pytest.mark.parametrize(("width_mm", "stays"), [(4, False), (6, False), (10, True)])
def test_a_bridge_of_8_mm_holds(width_mm: int, stays: bool) -> None:
    bowel = (KIDNEY, (90, 120), (0, 20))  # 14 mL: neither a third kidney nor small
    bridge = (KIDNEY, (50, 90), (0, width_mm))
    kept, _ = cut_thin_bridges(*solid(A_KIDNEY, bowel, bridge, (KIDNEY, (70, 110), (30, 60))))
    assert (kept.index[:, 1] >= 15).sum() >= 20 * 15 * 12, "the other kidney"
    assert ((kept.index[:, 0] >= 46) & (kept.index[:, 1] < 10)).any() == stays


def test_what_grows_out_of_a_kidney_stays() -> None:
    points, ids = solid(A_KIDNEY, (TUMOUR, (50, 100), (0, 50)))
    kept, _ = cut_thin_bridges(points, ids)
    assert len(kept) == len(points)


def test_a_kidney_that_falls_apart_stays() -> None:
    points, ids = solid((KIDNEY, (0, 30), (0, 40)), (KIDNEY, (40, 80), (0, 40)), (KIDNEY, (90, 120), (0, 40)))
    kept, _ = cut_thin_bridges(points, ids)
    assert len(kept) == len(points), "each part holds over 20 mL"
    nothing, _ = cut_thin_bridges(points.select(np.zeros(len(points), bool)), ids[:0])
    assert len(nothing) == 0
