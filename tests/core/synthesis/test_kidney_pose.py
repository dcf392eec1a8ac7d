"""Poses of kidneys, and rotations from one to another."""

from __future__ import annotations

import numpy as np
import pytest

from kidney_host import ball
from kidneyseg.synthesis.kidney_pose import about, pose_of, rotation_to

SPACING = np.full(3, 2.0)


def pose(turn_deg: float = 0.0, medial: float = 1.0):
    grid = np.stack(np.meshgrid(*[np.arange(n) * 2.0 for n in (60, 60, 70)], indexing="ij"), -1) - (60, 60, 70)
    turned = grid @ about(np.array([0.0, 1.0, 0.0]), np.deg2rad(turn_deg))
    filled = ((turned / (25, 20, 50)) ** 2).sum(-1) < 1
    sinus = filled & (((turned - (15 * medial, 0, 0)) / (14, 8, 15)) ** 2).sum(-1).__lt__(1)
    return pose_of(filled & ~sinus, sinus, SPACING, np.zeros(3), medial)


def test_axis_hilum_and_gate():
    own = pose(20.0)
    np.testing.assert_allclose(own.axis, about(np.array([0.0, 1.0, 0.0]), np.deg2rad(20)) @ (0, 0, 1), atol=0.03)
    assert own.hilum[0] > 0.85
    assert own.gate[0] > own.centre[0] + 10
    np.testing.assert_allclose(own.frame.T @ own.frame, np.eye(3), atol=1e-9)
    assert pose(0.0, -1.0).hilum[0] < -0.9


def test_without_a_sinus_the_hilum_faces_the_spine():
    kidney = ball((60, 60, 70), (2.0,) * 3, (60, 60, 70), (25, 20, 50))
    own = pose_of(kidney, np.zeros_like(kidney), SPACING, np.zeros(3), -1.0)
    assert own.hilum[0] < -0.8
    np.testing.assert_array_equal(own.gate, own.centre)


@pytest.mark.parametrize(("largest", "expected"), [(90.0, 25.0), (10.0, 10.0)])
def test_a_rotation_turns_one_pose_into_another_up_to_a_limit(largest, expected):
    source, target = pose(0.0), pose(25.0)
    turn = rotation_to(source, target, largest)
    angle = np.rad2deg(np.arccos((np.trace(turn) - 1) / 2))
    assert angle == pytest.approx(expected, abs=3.0)
    if largest > expected:
        np.testing.assert_allclose(turn @ source.axis, target.axis, atol=0.03)


def test_equal_poses_need_no_rotation():
    np.testing.assert_allclose(rotation_to(pose(), pose(), 30.0), np.eye(3), atol=1e-6)
