"""The points of a cloud that lie on a slice, as a picture of their labels on the CT's own pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.labels import TISSUE

if TYPE_CHECKING:
    from kidneyseg.imaging.volume import Volume
    from kidneyseg.points.cloud import PointCloud

TISSUE_POINT = 255
"""A point that is neither kidney nor tumour, or that has no label, in the picture of `SlicePoints.on_slice`."""


class SlicePoints:
    """Finds a cloud's points on a slice. To find them quickly, it keeps two bytes a point for each axis once used."""

    def __init__(self, cloud: PointCloud) -> None:
        self._cloud = cloud
        self._layers: dict[int, NDArray[np.int16]] = {}

    def on_slice(self, axis: int, index: int, volume: Volume) -> NDArray[np.uint8]:
        """The labels of the points in the layer of cells that a slice's centre lies in, each on its middle pixel.

        Args:
            axis: that the slice lies across.
            index: of the slice.
            volume: the CT that the cloud was sampled from.

        Returns:
            uint8, the two other axes in their order: a label, TISSUE_POINT, or 0 where no point is. Cells larger than
            a voxel leave gaps, so that each remains a point.
        """
        lattice, labels = self._cloud.lattice, self._cloud.labels
        layer = int(lattice.cells_of(np.array((index + 0.5) * volume.spacing_mm[axis]), axis))
        rows = np.flatnonzero(self._layer_of_each(axis) == layer)
        across = [other for other in range(3) if other != axis]
        picture = np.zeros([volume.shape[other] for other in across], np.uint8)
        centres = lattice.centres_mm(self._cloud.index[rows])
        pixels = tuple(
            np.clip(centres[:, other] / volume.spacing_mm[other], 0, volume.shape[other] - 1).astype(np.intp)
            for other in across
        )
        found = np.full(len(rows), TISSUE, np.uint8) if labels is None else labels[rows]
        picture[pixels] = np.where(found == TISSUE, np.uint8(TISSUE_POINT), found)
        return picture

    def _layer_of_each(self, axis: int) -> NDArray[np.int16]:
        if axis not in self._layers:
            self._layers[axis] = np.ascontiguousarray(self._cloud.index[:, axis], np.int16)
        return self._layers[axis]
