"""Which of DBSCAN's objects are kidneys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.points.cloud import KIDNEY, PointCloud

# Less kidney tissue than this is a fragment or a false find; even a shrunken kidney holds 20 mL.
_LEAST_KIDNEY_ML = 5.0
_MOST_KIDNEYS = 2


def keep_kidneys(cloud: PointCloud, ids: NDArray[np.int32]) -> tuple[PointCloud, NDArray[np.int32]]:
    """Keep the two objects with most kidney tissue, each with the tumour that hangs on it.

    A tumour apart from any kidney is taken for a false find, and so is an object with less than 5 mL of kidney tissue.
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
    kidney_ml = np.bincount(ids, weights=np.asarray(cloud.labels) == KIDNEY) * cell_ml
    largest = np.argsort(-kidney_ml, kind="stable")[:_MOST_KIDNEYS]
    rows = np.isin(ids, largest[kidney_ml[largest] >= _LEAST_KIDNEY_ML])
    return cloud.select(rows), ids[rows]
