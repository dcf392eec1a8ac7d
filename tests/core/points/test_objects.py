"""Which objects stay."""

from __future__ import annotations

import numpy as np

from kidneyseg.points.cloud import KIDNEY, TUMOUR, Lattice, PointCloud
from kidneyseg.points.objects import keep_kidneys

CELL = Lattice((10.0, 10.0, 10.0), (100, 1, 1))  # 1 mL each


def cloud(objects: list[tuple[int, int]]) -> tuple[PointCloud, np.ndarray]:
    """Objects of so many kidney and so many tumour cells."""
    labels = np.concatenate([np.repeat([KIDNEY, TUMOUR], pair) for pair in objects]).astype(np.uint8)
    ids = np.repeat(np.arange(len(objects), dtype=np.int32), [sum(pair) for pair in objects])
    index = np.stack([np.arange(len(labels)), *np.zeros((2, len(labels)), int)], axis=1).astype(np.int32)
    return PointCloud(CELL, index, np.zeros(len(labels), np.int16), labels), ids


def test_the_two_with_most_kidney_stay_with_their_tumours() -> None:
    kept, ids = keep_kidneys(*cloud([(9, 30), (20, 0), (15, 2), (6, 0)]))
    assert sorted(set(ids.tolist())) == [1, 2]
    assert (kept.labels == TUMOUR).sum() == 2


def test_tumour_without_kidney_and_fragments_go() -> None:
    kept, ids = keep_kidneys(*cloud([(20, 1), (4, 0), (0, 40)]))
    assert set(ids.tolist()) == {0}
    assert len(kept) == 21


def test_nothing_stays_nothing() -> None:
    kept, ids = keep_kidneys(*cloud([(2, 0)]))
    assert len(kept) == len(ids) == 0
    again, _ = keep_kidneys(kept, ids)
    assert len(again) == 0
