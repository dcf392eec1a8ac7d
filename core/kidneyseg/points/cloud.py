"""Point clouds: which cells of a regular lattice were kept, with their HU, labels and class probabilities."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.labels import KIDNEY, TISSUE, TUMOUR

__all__ = ["KIDNEY", "TISSUE", "TUMOUR", "Lattice", "PointCloud"]

Orientation = tuple[int, int, int]
"""The axes (1, 2, 3) that the networks take for x, y, z; negative where they see one reversed."""

AS_STORED: Orientation = (1, 2, 3)


@dataclass(frozen=True)
class Lattice:
    """A regular lattice laid over a volume's voxel axes, starting at the outer corner of voxel (0, 0, 0).

    Millimetres here are measured along the volume's own (canonical) voxel axes from that corner: voxel i covers
    i*spacing ... (i+1)*spacing. A cell finds its voxels, and a voxel its cell, by arithmetic alone.

    Attributes:
        step_mm: cell edge lengths along x, y, z.
        shape: cells along x, y, z.
        origin_mm: where cell (0, 0, 0) begins.
    """

    step_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def first_cell(self) -> NDArray[np.int32]:
        """(3,) int32: the index of cell (0, 0, 0) on the lattice of the whole volume, of which this is a box."""
        return np.rint(np.asarray(self.origin_mm) / self.step_mm).astype(np.int32)

    def centres_mm(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """Centres of the cells `index` (N, 3), in mm from the volume's corner, as (N, 3) float32."""
        step = np.asarray(self.step_mm)
        centres: NDArray[np.float64] = (index + 0.5) * step + np.asarray(self.origin_mm)
        return centres.astype(np.float32)

    def cells_of(self, position_mm: NDArray[np.floating], axis: int) -> NDArray[np.intp]:
        """Cell index along `axis` of each position in mm; may fall outside 0...shape[axis]-1."""
        cells: NDArray[np.floating] = np.floor((position_mm - self.origin_mm[axis]) / self.step_mm[axis])
        return cells.astype(np.intp)

    def cells_around(self, other: Lattice, axis: int) -> NDArray[np.intp]:
        """Cell index along `axis` of the centre of each of `other`'s cells; may fall outside 0...shape[axis]-1."""
        centres = (np.arange(other.shape[axis]) + 0.5) * other.step_mm[axis] + other.origin_mm[axis]
        return self.cells_of(centres, axis)


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Kept cells of a lattice. Rows are in lexicographic order of their index (x slowest, z fastest).

    Attributes:
        lattice: where the cells lie; the voxel lattice itself when points are voxels.
        index: int32 (N, 3), cell index along x, y, z.
        hu: int16 (N,), mean HU of the cell.
        labels: uint8 (N,) of TISSUE, KIDNEY, TUMOUR, or None before a network has seen the cloud.
        probability: float16 (N, classes) network output after softmax, or None.
        orientation: how the networks see the cells, not AS_STORED where the file's orientation seems wrong.
    """

    lattice: Lattice
    index: NDArray[np.int32]
    hu: NDArray[np.int16]
    labels: NDArray[np.uint8] | None = None
    probability: NDArray[np.float16] | None = None
    orientation: Orientation = AS_STORED

    def __len__(self) -> int:
        return len(self.index)

    @property
    def centres_mm(self) -> NDArray[np.float32]:
        """(N, 3) float32, mm from the volume's corner along its voxel axes."""
        return self.lattice.centres_mm(self.index)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> PointCloud:
        """The cloud of these rows only, in their order."""
        return replace(
            self,
            index=self.index[rows],
            hu=self.hu[rows],
            labels=None if self.labels is None else self.labels[rows],
            probability=None if self.probability is None else self.probability[rows],
        )
