"""The orientation in which the networks see a CT whose header seems wrong."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from kidneyseg.points.cloud import AS_STORED, KIDNEY, Orientation, PointCloud
from kidneyseg.progress import Progress

# With less kidney than this, stage 1 also runs on the CT in other orientations. With fold networks, 14 CTs and as many
# with simulated missing contrast give 202 mL or more as they are. In other orientations the 14 CTs give at most .56 as
# much, and the right halves of their bodies .81.
_ENOUGH_KIDNEY_ML, _LEAST_KIDNEY_ML, _FAR_MORE = 220.0, 40.0, 1.5
# Along z scans end inside the body: 14 CTs have .51 to .76 of their fullest layer at either end, along x and y .15 at
# most. Bodies are wider than deep, unless one side is cut off.
_CLEARLY_LESS, _CLEARLY_WIDER = 0.5, 1.25
_NOTE = "The header's orientation seems wrong: far more kidney was found in the CT turned, so it was read like that."


def best_orientation(
    stored: PointCloud,
    detect: Callable[[Orientation, Progress], PointCloud],
    progress: Progress,
    note: Callable[[str], None],
) -> PointCloud:
    """Stage 1's detections in the orientation that shows far more kidney, where the header's shows little.

    Args:
        stored: labelled cloud as detected in the header's orientation.
        detect: gives the labelled cloud as detected in another orientation.
        progress: 0...1 of all other orientations together.
        note: told when another orientation is taken.

    Returns:
        `stored`, or another labelled cloud on the same cells with its `orientation` set.
    """
    little = _kidney_ml(stored)
    if len(stored) == 0 or little >= _ENOUGH_KIDNEY_ML:
        return stored
    others = plausible_orientations(stored)
    best = max(
        (detect(one, progress.part(i / len(others), (i + 1) / len(others))) for i, one in enumerate(others)),
        key=_kidney_ml,
    )
    if _kidney_ml(best) < max(_LEAST_KIDNEY_ML, _FAR_MORE * little):
        return stored
    note(_NOTE)
    return best


def plausible_orientations(cloud: PointCloud) -> list[Orientation]:
    """Orientations other than the header's in which the cloud looks like a scan of a body.

    z is the axis along which the scan ends inside the body, and x the one along which the body is wider; where either
    is not clear, the header's counts, or both. Front and back, head and feet may be exchanged. Mirror images are left
    out, since the networks' outcome is a mean over both: all are rotations of the CT.
    """
    shares = np.array([_at_ends(cloud.index[:, axis]) for axis in range(3)])
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
    """Cells (N, 3) along the axes that the networks take for x, y, z; may be negative."""
    return index[:, np.abs(orientation) - 1] * np.sign(orientation).astype(np.int32)


def _at_ends(layers: NDArray[np.int32]) -> float:
    """How many of the points lie in the first and last layer, the smaller of both, as a share of the fullest one."""
    counts = np.bincount(layers - layers.min())
    return float(min(counts[0], counts[-1]) / counts.max())


def _kidney_ml(cloud: PointCloud) -> float:
    return float((np.asarray(cloud.labels) == KIDNEY).sum() * np.prod(cloud.lattice.step_mm)) / 1000.0
