"""How unsure the networks are of each voxel, from stage 2's class probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.resample import voxel_lattice


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Uncertainty on the cells that stage 2 labelled.

    It is 1 minus the probability of the likeliest class, scaled so that it is 0 for a certain class and 255 where all
    classes are equally likely. The probabilities are the networks' own: a figure of 50 % is not yet one case in two.
    """

    lattice: Lattice  #: a crop around these cells
    values: NDArray[np.uint8]  #: uint8 of the lattice's shape; 0 in cells that were not labelled

    def on_slice(
        self, axis: int, index: int, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]
    ) -> NDArray[np.uint8]:
        """The uncertainty of a slice's voxels, each that of its cell: uint8, the remaining two axes in their order.

        Args:
            axis: that the slice lies across.
            index: of the slice.
            shape: voxels of the volume.
            spacing_mm: their edges.
        """
        low, high = [0, 0, 0], list(shape)
        low[axis], high[axis] = index, index + 1
        voxels = voxel_lattice(shape, spacing_mm, (np.array(low), np.array(high)))
        cells = [self.lattice.cells_around(voxels, i) for i in range(3)]
        inside = [(found >= 0) & (found < n) for found, n in zip(cells, self.lattice.shape, strict=True)]
        out = np.zeros(voxels.shape, np.uint8)
        if all(one.any() for one in inside):
            out[np.ix_(*inside)] = self.values[np.ix_(*(found[one] for found, one in zip(cells, inside, strict=True)))]
        return out.squeeze(axis)


def uncertainty_of(cloud: PointCloud) -> Uncertainty | None:
    """The uncertainty of a cloud with probabilities (N, classes); None for one without, or without points."""
    if cloud.probability is None or not len(cloud):
        return None
    classes = cloud.probability.shape[1]
    unsure = (1 - cloud.probability.max(axis=1).astype(np.float32)) * (classes / (classes - 1))
    low = cloud.index.min(axis=0) - cloud.lattice.first_cell
    crop = cloud.lattice.crop(low, cloud.index.max(axis=0) - cloud.lattice.first_cell + 1)
    values = np.zeros(crop.shape, np.uint8)
    values[tuple((cloud.index - crop.first_cell).T)] = np.rint(255 * np.clip(unsure, 0, 1))
    return Uncertainty(crop, values)
