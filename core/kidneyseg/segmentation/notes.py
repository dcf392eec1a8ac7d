"""Sentences for the user on why a result is as it is."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import dense_mask
from kidneyseg.imaging.labels import KIDNEY
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.objects import LEAST_KIDNEY_ML
from kidneyseg.settings import CountClusterSettings, Settings


def removed_by_clustering(stage2: PointCloud, objects: PointCloud, settings: Settings) -> str:
    """A sentence where stage 2 found kidneys and DBSCAN removed them all, with the mend; otherwise "".

    Scattered points are not called kidneys: a connected group must have the volume of the smallest kidney.

    Args:
        stage2: the labelled cloud before DBSCAN.
        objects: what DBSCAN kept of it.
        settings: of the run.
    """
    if _kidney_ml(objects) >= LEAST_KIDNEY_ML or _largest_kidney_ml(stage2) < LEAST_KIDNEY_ML:
        return ""
    lower = "min samples" if isinstance(settings.clusters, CountClusterSettings) else "the core share"
    return f"DBSCAN removed all kidney points that the networks found. Raise eps, or lower {lower}."


def _kidney_ml(cloud: PointCloud) -> float:
    return np.count_nonzero(cloud.labelled(KIDNEY)) * cloud.lattice.cell_ml


def _largest_kidney_ml(cloud: PointCloud) -> float:
    """The volume of the largest group of kidney cells, connected by faces, edges or corners."""
    index = cloud.index[cloud.labelled(KIDNEY)]
    if len(index) == 0:
        return 0.0
    parts, _ = ndimage.label(dense_mask(index)[0], np.ones((3, 3, 3)))
    return float(np.bincount(parts.ravel())[1:].max()) * cloud.lattice.cell_ml
