"""Which of DBSCAN's objects are kidneys, and which of their tumour points are a tumour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.points.cloud import KIDNEY, TUMOUR, PointCloud

# Less kidney tissue than this is a fragment or a false find; even a shrunken kidney holds 20 mL.
_LEAST_KIDNEY_ML = 5.0
_MOST_KIDNEYS = 2
# Less connected tumour than this (a ball of 8 mm) is far more often a vessel or a calyx than a tumour.
_SMALLEST_TUMOUR_ML = 0.3


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


def without_specks(cloud: PointCloud) -> PointCloud:
    """The cloud with every connected piece of tumour under 0.3 mL made kidney, labels and probabilities (N, 3)."""
    tumour = np.flatnonzero(np.asarray(cloud.labels) == TUMOUR)
    if cloud.labels is None or len(tumour) == 0:
        return cloud
    index = cloud.index[tumour] - cloud.index[tumour].min(0)
    there = np.zeros(index.max(0) + 1, bool)
    there[tuple(index.T)] = True
    pieces, _ = ndimage.label(there, ndimage.generate_binary_structure(3, 3))
    piece = pieces[tuple(index.T)]
    cell_ml = float(np.prod(cloud.lattice.step_mm)) / 1000.0
    specks = tumour[(np.bincount(piece) * cell_ml < _SMALLEST_TUMOUR_ML)[piece]]
    labels = cloud.labels.copy()
    labels[specks] = KIDNEY
    if cloud.probability is None:
        return replace(cloud, labels=labels)
    probability = cloud.probability.copy()
    probability[specks, KIDNEY] += probability[specks, TUMOUR]
    probability[specks, TUMOUR] = 0
    return replace(cloud, labels=labels, probability=probability)
