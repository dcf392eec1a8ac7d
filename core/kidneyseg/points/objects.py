"""Which of DBSCAN's objects are kidneys."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.points.cloud import KIDNEY, PointCloud

# Less kidney tissue than this is a fragment or a false find; even a shrunken kidney holds 20 mL.
_LEAST_KIDNEY_ML = 5.0
# A patient's two kidneys take up the same contrast agent and lie side by side: a difference of so many HU in their
# medians, or of so many mm in their height, makes two objects a pair e times less likely.
_PAIR_HU, _PAIR_MM = 50.0, 150.0


def keep_kidneys(cloud: PointCloud, ids: NDArray[np.int32]) -> tuple[PointCloud, NDArray[np.int32]]:
    """Keep the two objects that are most likely the kidneys, each with the tumour that hangs on it.

    A tumour apart from any kidney is taken for a false find, and so is an object with less than 5 mL of kidney tissue.
    Of more than two objects, the two stay that hold much kidney tissue, are alike in HU and lie at a similar height.
    With a kidney on one side only, or a horseshoe, one object is kept.

    Args:
        cloud: kidney and tumour points with labels, on lattice cells.
        ids: int32 (N,), the object of each point, 0 upward.

    Returns:
        The points that stay and their ids, rows in their order.
    """
    if len(cloud) == 0:
        return cloud, ids
    cell_ml = float(np.prod(cloud.lattice.step_mm)) / 1000.0
    kidney = np.asarray(cloud.labels) == KIDNEY
    kidney_ml = np.bincount(ids, weights=kidney) * cell_ml
    candidates = [int(i) for i in np.flatnonzero(kidney_ml >= _LEAST_KIDNEY_ML)]
    kept = _pair(cloud, ids, kidney, kidney_ml, candidates) if len(candidates) > 2 else candidates
    rows = np.isin(ids, kept)
    return cloud.select(rows), ids[rows]


def _pair(
    cloud: PointCloud,
    ids: NDArray[np.int32],
    kidney: NDArray[np.bool_],
    kidney_ml: NDArray[np.floating],
    candidates: list[int],
) -> list[int]:
    """The two of the objects `candidates` that are most likely a pair of kidneys."""
    hu = {i: float(np.median(cloud.hu[kidney & (ids == i)])) for i in candidates}
    height = {i: float(cloud.centres_mm[kidney & (ids == i), 2].mean()) for i in candidates}

    def score(pair: tuple[int, int]) -> float:
        i, j = pair
        unlike = abs(hu[i] - hu[j]) / _PAIR_HU + abs(height[i] - height[j]) / _PAIR_MM
        return float((kidney_ml[i] + kidney_ml[j]) * np.exp(-unlike))

    best = max(combinations(candidates, 2), key=score)
    return list(best)
