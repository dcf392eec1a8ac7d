"""Recovers the orientation of a CT whose header seems wrong."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.labels import KIDNEY
from kidneyseg.points.cloud import AS_STORED, Orientation, PointCloud
from kidneyseg.progress import Progress

# With less kidney than _ENOUGH, stage 1 also runs on the CT in other orientations. One is taken if it has _LEAST of
# kidney and _RATIO times as much as the header's. With fold networks, 14 CTs and as many with simulated missing
# contrast have 202 mL or more; in wrong orientations the 14 CTs have at most .56 as much, and their right halves .81.
_ENOUGH_KIDNEY_ML, _LEAST_KIDNEY_ML, _RATIO = 220.0, 40.0, 1.5
# Scans end inside the body along z: in 14 CTs the smaller end layer has .51 to .76 of the points of the largest layer
# along z, and at most .15 along x and y. Bodies are wider than deep, unless one side is cut off.
_CLEARLY_LESS, _CLEARLY_WIDER = 0.5, 1.25
_NOTE = "The header's orientation seems wrong: far more kidney was found in the CT turned, so it was read like that."


def best_orientation(
    stored: PointCloud,
    detect: Callable[[Orientation, Progress], PointCloud],
    progress: Progress,
    note: Callable[[str], None],
) -> PointCloud:
    """Stage 1's detections in the header's orientation, or in another one with far more kidney.

    Args:
        stored: cloud with stage 1's labels in the header's orientation.
        detect: labels the cloud in another orientation.
        progress: 0...1 of all other orientations together.
        note: takes a sentence for the user when another orientation is taken.

    Returns:
        `stored`, or another labelled cloud on the same cells with its `orientation` set.
    """
    stored_ml = _kidney_ml(stored)
    if len(stored) == 0 or stored_ml >= _ENOUGH_KIDNEY_ML:
        return stored
    others = plausible_orientations(stored)
    best = max(
        (detect(one, progress.part(i / len(others), (i + 1) / len(others))) for i, one in enumerate(others)),
        key=_kidney_ml,
    )
    if _kidney_ml(best) < max(_LEAST_KIDNEY_ML, _RATIO * stored_ml):
        return stored
    note(_NOTE)
    return best


def plausible_orientations(cloud: PointCloud) -> list[Orientation]:
    """Orientations other than the header's in which the cloud looks like a scan of a body.

    z is the axis along which the scan ends inside the body; where that is not clear, the header's. x is the axis along
    which the body is wider; where that is not clear, both are tried. Front and back, head and feet may be exchanged.
    All are rotations: mirror images need no run of their own, since the networks' output is averaged over both.
    """
    shares = np.array([_end_share(cloud.index[:, axis]) for axis in range(3)])
    z = 2 if shares[2] >= _CLEARLY_LESS * shares.max() else int(shares.argmax())
    size = [float(np.ptp(cloud.index[:, axis]) + 1) * cloud.lattice.step_mm[axis] for axis in range(3)]
    found = []
    for axes in permutations(range(3)):
        swapped = axes != (0, 1, 2)
        if axes[2] != z or (swapped and size[axes[1]] > _CLEARLY_WIDER * size[axes[0]]):
            continue
        for y_sign, z_sign in product((1, -1), repeat=2):
            x_sign = round(float(np.linalg.det(np.eye(3)[list(axes)]))) * y_sign * z_sign
            found.append((x_sign * (axes[0] + 1), y_sign * (axes[1] + 1), z_sign * (axes[2] + 1)))
    return [one for one in found if one != AS_STORED]


def turned(index: NDArray[np.int32], orientation: Orientation) -> NDArray[np.int32]:
    """Cells (N, 3) in the networks' order of axes; may be negative."""
    return index[:, np.abs(orientation) - 1] * np.sign(orientation).astype(np.int32)


def _end_share(layers: NDArray[np.int32]) -> float:
    """Points in the first or the last layer, whichever has fewer, as a share of those in the largest layer."""
    counts = np.bincount(layers - layers.min())
    return float(min(counts[0], counts[-1]) / counts.max())


def _kidney_ml(cloud: PointCloud) -> float:
    return float(cloud.labelled(KIDNEY).sum() * cloud.lattice.cell_ml)
