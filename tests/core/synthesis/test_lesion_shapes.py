"""Shapes of lesions: cut out of label maps with their pose, or procedural."""

from __future__ import annotations

import numpy as np
import pytest

from kidney_host import ball
from kidneyseg.synthesis.lesion_shapes import KidneyHull, ball_radius_mm, cut_lesions, procedural_lesion


def test_shapes_are_cut_with_their_pose():
    spacing = (1.0, 1.0, 4.0)
    shape = (90, 70, 30)
    labels = ball(shape, spacing, (45, 35, 60), (25, 22, 50)).astype(np.uint8)
    # Sticks out to the right (+x), a bit above the middle.
    labels[ball(shape, spacing, (72, 35, 75), (10, 10, 10))] = 2
    labels[ball(shape, spacing, (45, 35, 30), (6, 6, 6))] = 3
    tumour, cyst = sorted(cut_lesions(labels, spacing, case=12), key=lambda lesion: lesion.kind, reverse=True)
    assert (tumour.kind, cyst.kind, tumour.case) == ("tumour", "cyst", 12)
    assert tumour.ml == pytest.approx(4.19, rel=0.15)
    assert tumour.outward[0] > 0.9
    assert 0.02 < tumour.inside < 0.5
    assert 0.1 < tumour.along < 0.5
    assert cyst.inside == 1.0
    assert -0.8 < cyst.along < -0.4


def test_small_lesions_and_lesions_without_a_kidney_are_left_out():
    spacing, shape = (1.0, 1.0, 4.0), (90, 70, 30)
    labels = ball(shape, spacing, (45, 35, 60), (25, 22, 50)).astype(np.uint8)
    labels[ball(shape, spacing, (72, 35, 75), (10, 10, 10))] = 2
    assert cut_lesions(labels, spacing, 1, min_tumour_ml=5.0) == []
    assert cut_lesions(np.where(labels == 2, labels, 0), spacing, 1) == []


@pytest.mark.parametrize("kind", ["tumour", "cyst"])
def test_procedural_lesions_are_one_body_within_an_empty_margin(kind):
    for seed in range(5):
        lesion = procedural_lesion(np.random.default_rng(seed), kind)
        assert (lesion.kind, lesion.case) == (kind, -1)
        inner = lesion.mask[2:-2, 2:-2, 2:-2]
        assert inner.sum() == lesion.mask.sum()
        assert all(inner.any(axis=axes)[[0, -1]].all() for axes in ((1, 2), (0, 2), (0, 1)))
        assert 0.2 < lesion.ml < 300


def test_a_hull_knows_inside_outward_and_the_long_axis():
    hull = KidneyHull.of(np.argwhere(ball((60, 60, 90), (1, 1, 1), (30, 30, 45), (20, 20, 40))).astype(float))
    inside, outside = hull.distance(np.array([[30.0, 30, 45], [60, 30, 45]]))
    assert inside == pytest.approx(-20, abs=1.5)
    assert outside == pytest.approx(10, abs=1.5)
    assert hull.outward(np.array([50.0, 30, 45]))[0] > 0.99
    assert abs(hull.axis[2]) > 0.99
    assert hull.along(np.array([30.0, 30, 85])) == pytest.approx(1, abs=0.05)


def test_the_radius_is_that_of_a_ball():
    assert 4 / 3 * np.pi * ball_radius_mm(7.0) ** 3 / 1000 == pytest.approx(7.0)
