"""How a kidney lies: its centre, long axis and hilum, and the rotation that brings one kidney into another's pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kidneyseg.arrays import Doubles, Mask

# Less sinus than this does not show where a hilum opens.
_MIN_SINUS_ML = 1.0


@dataclass(frozen=True, eq=False)
class KidneyPose:
    """The pose of one kidney in mm. Axes are right, anterior, superior."""

    centre: Doubles  #: (3,) mean of the kidney's voxels
    axis: Doubles  #: (3,) unit vector along the kidney, pointing up
    hilum: Doubles  #: (3,) unit vector across the kidney, pointing to where its sinus opens
    gate: Doubles  #: (3,) the middle of the sinus; the centre where there is none

    @property
    def frame(self) -> Doubles:
        """(3, 3), orthonormal columns: axis, hilum and the direction across both."""
        return np.stack([self.axis, self.hilum, np.cross(self.axis, self.hilum)], axis=1)


def pose_of(kidney: Mask, sinus: Mask, spacing: Doubles, first_mm: Doubles, medial: float) -> KidneyPose:
    """The pose of a kidney.

    Args:
        kidney: bool (X, Y, Z), its parenchyma, not empty.
        sinus: bool (X, Y, Z), what closing the kidney fills.
        spacing: (3,) voxel edge lengths in mm.
        first_mm: (3,) centre of the first voxel.
        medial: 1 where the spine lies towards higher x, -1 towards lower x.
    """
    points = np.argwhere(kidney) * spacing + first_mm
    centre = points.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((points - centre).T)) if len(points) > 3 else (None, np.eye(3))
    axis = vectors[:, -1] * (1.0 if vectors[2, -1] >= 0 else -1.0)
    # A kidney as wide as it is long has no long axis; no healthy one lies flat.
    axis = axis if axis[2] > 0.5 else np.array([0.0, 0.0, 1.0])
    gate, towards = centre, np.array([medial, 0.4, 0.0])
    if sinus.sum() * spacing.prod() >= 1000.0 * _MIN_SINUS_ML:
        gate = (np.argwhere(sinus) * spacing + first_mm).mean(axis=0)
        # Cavities of a tumour or a cyst beside it must not turn the hilum away from the spine.
        if (gate - centre)[0] * medial > 0:
            towards = (gate - centre) / np.linalg.norm(gate - centre) + 0.5 * towards
    across = towards - (towards @ axis) * axis
    return KidneyPose(centre, axis, across / np.linalg.norm(across), gate)


def rotation_to(source: KidneyPose, target: KidneyPose, largest_deg: float) -> Doubles:
    """The rotation (3, 3) that turns `source` into `target`'s pose, by at most `largest_deg`."""
    matrix = target.frame @ source.frame.T
    angle = float(np.arccos(np.clip((np.trace(matrix) - 1.0) / 2.0, -1.0, 1.0)))
    twist = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    length = float(np.linalg.norm(twist))
    if length < 1e-9:
        return np.eye(3)
    return about(twist / length, min(angle, np.deg2rad(largest_deg)))


def about(direction: Doubles, angle: float) -> Doubles:
    """The rotation (3, 3) by `angle` (radians) about a unit vector."""
    x, y, z = direction
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross)
