"""Stage 1's reach: how much of the true tumours stage 2 is shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Mask
from kidneyseg.evaluation.variants import CaseVariant
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import PointCloud
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import Settings


def reach_of(pipeline: Pipeline, variant: CaseVariant, settings: Settings) -> float | None:
    """The share of the true tumours' voxels whose cell is an input of stage 2; None without tumours.

    Args:
        pipeline: of any CT, with the networks to take.
    """
    voxels = np.argwhere(variant.truth == TUMOUR)
    if not len(voxels):
        return None
    result = pipeline.for_volume(variant.volume).run(settings)
    return coverage(result.stage2, voxels, variant.volume)


def coverage(cloud: PointCloud, voxels: NDArray[np.integer], volume: Volume) -> float:
    """The share of the voxels (N, 3) whose centre lies in a cell of the cloud."""
    cells = np.empty_like(voxels)
    for axis in range(3):
        centre = (voxels[:, axis] + 0.5) * volume.spacing_mm[axis]
        cells[:, axis] = np.clip(cloud.lattice.cells_of(centre, axis), 0, cloud.lattice.shape[axis] - 1)
    return float(is_in(cloud, cells).mean())


def is_in(cloud: PointCloud, cells: NDArray[np.integer]) -> Mask:
    """Which of the cells (N, 3) are in the cloud."""
    wanted, there = (np.ravel_multi_index(tuple(index.T), cloud.lattice.shape) for index in (cells, cloud.index))
    return np.isin(wanted, there)
