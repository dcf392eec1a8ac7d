"""Resampling by a matrix, random affine transforms and fields of view."""

from __future__ import annotations

import numpy as np

from kidneyseg.training.spatial import Affine, FieldOfView, warp
from kidneyseg.training.stage_recipes import View

AFFINE = Affine((12.0, 12.0, 18.0), (0.8, 1.25), 0.1, 0.5)


def test_the_identity_changes_nothing_and_a_part_is_as_in_the_whole() -> None:
    rng = np.random.default_rng(0)
    hu = rng.uniform(-100, 200, (9, 10, 11)).astype(np.float32)
    labels = rng.integers(0, 3, hu.shape).astype(np.uint8)
    same, marks = warp(hu, labels, np.eye(3), outside_hu=-125.0)
    np.testing.assert_allclose(same, hu, atol=1e-3)
    assert np.array_equal(marks, labels)
    mirrored, _ = warp(hu, labels, np.diag([-1.0, 1, 1]), outside_hu=-125.0)
    np.testing.assert_allclose(mirrored, hu[::-1], atol=1e-3)
    matrix = AFFINE.draw(rng)
    box = (slice(2, 7), slice(0, 10), slice(5, 11))
    whole, part = (warp(hu, labels, matrix, outside_hu=-125.0, box=b) for b in (None, box))
    np.testing.assert_allclose(part[0], whole[0][box], atol=1e-3)
    assert np.array_equal(part[1], whole[1][box])


def test_a_quarter_turn_turns() -> None:
    hu = np.zeros((9, 9, 5), np.float32)
    hu[7, 4, 2] = 100
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved, _ = warp(hu, np.zeros(hu.shape, np.uint8), turn, outside_hu=0.0)
    assert np.argwhere(moved > 50).tolist() in ([[4, 1, 2]], [[4, 7, 2]])


def test_affine_transforms_keep_their_limits_and_use_them() -> None:
    rng = np.random.default_rng(0)
    matrices = [AFFINE.draw(rng) for _ in range(200)]
    flipped = np.array([np.linalg.det(matrix) < 0 for matrix in matrices])
    assert 0.4 < flipped.mean() < 0.6
    sizes = np.array([abs(np.linalg.det(matrix)) ** (-1 / 3) for matrix in matrices])
    assert 0.8 * np.exp(-0.1) < sizes.min() < 0.9
    assert 1.15 < sizes.max() < 1.25 * np.exp(0.1)
    vertical = [matrix[:, 2] / np.linalg.norm(matrix[:, 2]) for matrix in matrices]
    tilt = np.rad2deg([np.arccos(abs(axis[2])) for axis in vertical])
    assert 8 < tilt.max() < 20


def test_fields_of_view_lie_inside_and_keep_their_share() -> None:
    rng = np.random.default_rng(0)
    shape = (40, 50, 60)
    for _ in range(50):
        box = FieldOfView(1.0, 0.5, np.inf).draw(shape, rng)
        assert all(0 <= s.start < s.stop <= n and s.stop - s.start >= n // 2 for s, n in zip(box, shape, strict=True))
        few = FieldOfView(1.0, 0.5, 8000).draw(shape, rng)
        assert np.prod([s.stop - s.start for s in few]) < 1.1 * 8000


def test_a_field_of_view_is_reduced_with_its_probability() -> None:
    rng = np.random.default_rng(0)
    whole = tuple(slice(0, n) for n in (40, 50, 60))
    drawn = [FieldOfView(0.3, 0.5, np.inf).draw((40, 50, 60), rng) for _ in range(300)]
    assert 0.23 < np.mean([box != whole for box in drawn]) < 0.37


def test_slabs_have_few_slices_and_their_whole_width() -> None:
    rng, shape = np.random.default_rng(0), (40, 50, 200)
    boxes = [
        FieldOfView(0.0, 0.5, np.inf, slab_probability=0.4, slab_share=(0.1, 0.3)).draw(shape, rng) for _ in range(300)
    ]
    slices = np.array([box[2].stop - box[2].start for box in boxes])
    assert all(box[:2] == (slice(0, 40), slice(0, 50)) for box in boxes)
    assert 0.33 < (slices < 200).mean() < 0.47
    assert 20 <= slices.min() < 26
    assert 54 < slices[slices < 200].max() <= 60
    assert min(box[2].start for box in boxes) < 10
    assert max(box[2].stop for box in boxes) == 200


def test_parts_of_a_region_and_slabs_of_it() -> None:
    view = View(0.5, 66.0, 0.5, 24.0, 30.0, slab_probability=0.4, slab_mm=(25.0, 80.0))
    rng = np.random.default_rng(0)
    drawn = [view.draw(rng) for _ in range(400)]
    shown = [tuple(edges) for edges in drawn if edges is not None]
    assert 0.22 < (len(drawn) - len(shown)) / len(drawn) < 0.38, "whole regions: neither part nor slab"
    assert {edges[:2] for edges in shown} == {(66.0, 66.0), (np.inf, np.inf)}
    assert all(edges[2] <= 66.0 for edges in shown if edges[0] == 66.0)
    heights = [edges[2] for edges in shown if edges[0] == np.inf]
    assert 25.0 <= min(heights) < 35.0
    assert 70.0 < max(heights) <= 80.0
