"""Lattices over a volume, and point clouds: some of a lattice's cells, with HU, labels and class probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Orientation = tuple[int, int, int]
"""The lattice axes (1, 2, 3) that the networks take as x, y, z; negative where an axis is reversed."""

AS_STORED: Orientation = (1, 2, 3)


@dataclass(frozen=True)
class Lattice:
    """A regular lattice laid over a volume's voxel axes, starting at the outer corner of voxel (0, 0, 0).

    Positions are in mm from that corner, along the volume's canonical voxel axes: voxel i covers i*spacing ...
    (i+1)*spacing.
    """

    step_mm: tuple[float, float, float]  #: edge lengths of a cell along x, y, z
    shape: tuple[int, int, int]  #: number of cells along x, y, z
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)  #: lower corner of cell (0, 0, 0)

    @property
    def cell_ml(self) -> float:
        """Volume of one cell in mL."""
        return float(np.prod(self.step_mm)) / 1000.0

    @property
    def first_cell(self) -> NDArray[np.int32]:
        """(3,) int32: the index of cell (0, 0, 0) in the lattice of the whole volume, of which this is a crop."""
        return np.rint(np.asarray(self.origin_mm) / self.step_mm).astype(np.int32)

    def crop(self, low: Sequence[int] | NDArray[np.integer], high: Sequence[int] | NDArray[np.integer]) -> Lattice:
        """The cells `low` ... `high` - 1, clipped to the lattice and at least one; each keeps its position in mm."""
        low = np.clip(low, 0, np.subtract(self.shape, 1))
        high = np.clip(high, low + 1, self.shape)
        x, y, z = (int(n) for n in high - low)
        origin_x, origin_y, origin_z = (np.asarray(self.origin_mm) + low * np.asarray(self.step_mm)).tolist()
        return Lattice(self.step_mm, (x, y, z), (origin_x, origin_y, origin_z))

    def centres_mm(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """Centres in mm of the cells `index` (N, 3): float32 (N, 3)."""
        return np.asarray((index + 0.5) * np.asarray(self.step_mm) + np.asarray(self.origin_mm), np.float32)

    def axis_centres_mm(self, axis: int) -> NDArray[np.float64]:
        """Centres in mm of all cells along one axis: float64 (shape[axis],)."""
        return np.asarray((np.arange(self.shape[axis]) + 0.5) * self.step_mm[axis] + self.origin_mm[axis])

    def cells_of(self, position_mm: NDArray[np.floating], axis: int) -> NDArray[np.intp]:
        """Cell index along `axis` of each position in mm; may fall outside 0...shape[axis]-1."""
        cells: NDArray[np.floating] = np.floor((position_mm - self.origin_mm[axis]) / self.step_mm[axis])
        return cells.astype(np.intp)

    def cells_around(self, other: Lattice, axis: int) -> NDArray[np.intp]:
        """Cell index along `axis` of the centre of each of `other`'s cells; may fall outside 0...shape[axis]-1."""
        return self.cells_of(other.axis_centres_mm(axis), axis)


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Some cells of a lattice, in lexicographic order of their index (x slowest, z fastest)."""

    lattice: Lattice  #: the lattice; that of the voxels when points are voxels
    index: NDArray[np.int32]  #: int32 (N, 3), cell index along x, y, z
    hu: NDArray[np.int16]  #: int16 (N,), mean HU of the cell
    labels: NDArray[np.uint8] | None = (
        None  #: uint8 (N,) of TISSUE, KIDNEY, TUMOUR, CYST, or None where there are none yet
    )
    probability: NDArray[np.float16] | None = None  #: float16 (N, classes), the network's softmax output, or None
    #: in which the networks process the cells; AS_STORED unless the file's orientation seems wrong
    orientation: Orientation = AS_STORED

    def __len__(self) -> int:
        return len(self.index)

    @property
    def centres_mm(self) -> NDArray[np.float32]:
        """float32 (N, 3), in mm; see `Lattice`."""
        return self.lattice.centres_mm(self.index)

    def labelled(self, label: int) -> NDArray[np.bool_]:
        """Which points have this label: bool (N,). Raises ValueError for a cloud without labels."""
        if self.labels is None:
            raise ValueError("this needs a cloud with labels")
        return np.asarray(self.labels == label)

    @property
    def at_end(self) -> NDArray[np.bool_]:
        """Which points lie at an end of the lattice, or in the layer beside it, which may be the last with points."""
        last = np.asarray(self.lattice.shape) - 1
        return np.asarray(((self.index <= 1) | (self.index >= last - 1)).any(axis=1))

    @staticmethod
    def of_cells(
        lattice: Lattice, index: NDArray[np.int32] | None = None, labels: NDArray[np.uint8] | None = None
    ) -> PointCloud:
        """Cells (N, 3), none by default, whose HU do not matter and are 0."""
        index = np.zeros((0, 3), np.int32) if index is None else index
        return PointCloud(lattice, index, np.zeros(len(index), np.int16), labels)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> PointCloud:
        """The cloud with only these rows, bool (N,) or indices."""
        return replace(
            self,
            index=self.index[rows],
            hu=self.hu[rows],
            labels=None if self.labels is None else self.labels[rows],
            probability=None if self.probability is None else self.probability[rows],
        )

    def relabelled(self, rows: NDArray[np.integer], label: int, new: int) -> PointCloud:
        """The cloud with rows that have one label given another, which takes over the probability."""
        if self.labels is None:
            raise ValueError("this needs a cloud with labels")
        labels = self.labels.copy()
        labels[rows] = new
        if self.probability is None:
            return replace(self, labels=labels)
        probability = self.probability.copy()
        probability[rows, new] += probability[rows, label]
        probability[rows, label] = 0
        return replace(self, labels=labels, probability=probability)
