"""What clicks look at: HU, labels and the networks' probabilities around them, on cubic cells."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Doubles, Floats, Labels
from kidneyseg.imaging.labels import CYST
from kidneyseg.imaging.volume import HU_WINDOW, Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.resample import lattice_for, nearest_values, resample_hu, voxel_lattice

CELL_MM = 1.5

# SD of the smoothing for growth and for the random walk, which keeps sharper edges.
_SMOOTH_MM, _SHARP_MM = 1.0, 0.7
# Cells around the clicks' reach, so that neither smoothing feels the border of the crop.
_MARGIN_CELLS = 5

# HU of each label are counted up to this distance from the first click, on coarser cells, in bins of 5 HU.
_WIDE_MM, _WIDE_CELL_MM = 45.0, 2.5
_BINS = np.arange(HU_WINDOW[0], HU_WINDOW[1] + 1, 5)
BIN_HU = (_BINS[:-1] + _BINS[1:]) / 2


@dataclass(frozen=True, eq=False)
class Scene:
    """The cells around clicks."""

    cells: Lattice  #: the lattice, of cubes of CELL_MM
    hu: Floats  #: float32 (X, Y, Z), smoothed
    sharp_hu: Floats  #: the same, smoothed less
    base: Labels  #: uint8 (X, Y, Z), the labels before the clicks
    around: Doubles  #: density of the HU of each label around the first click, float64 (4, bins)
    log_odds: Floats | None  #: of the networks' probability of each class, float32 (classes, X, Y, Z), or None

    @staticmethod
    def of(volume: Volume, labels: Labels, evidence: PointCloud | None, points_mm: Doubles, reach_mm: float) -> Scene:
        """The cells up to `reach_mm` around points (N, 3) in mm, the first click's first."""
        cells = _cells_around(volume, points_mm, reach_mm + _MARGIN_CELLS * CELL_MM, CELL_MM)
        hu = resample_hu(volume, cells).astype(np.float32)
        voxels = voxel_lattice(volume.shape, volume.spacing_mm)
        wide = _cells_around(volume, points_mm[:1], _WIDE_MM, _WIDE_CELL_MM)
        wide_hu, wide_base = resample_hu(volume, wide), nearest_values(labels, voxels, wide)
        counts = [np.histogram(wide_hu[wide_base == label], _BINS)[0] for label in range(CYST + 1)]
        return Scene(
            cells,
            ndimage.gaussian_filter(hu, _SMOOTH_MM / CELL_MM),
            ndimage.gaussian_filter(hu, _SHARP_MM / CELL_MM),
            nearest_values(labels, voxels, cells),
            np.stack([density(one) for one in counts]),
            None if evidence is None else _log_odds(evidence, cells),
        )

    def crop(self, points_mm: Doubles, reach_mm: float) -> Scene:
        """The cells up to `reach_mm` around points (N, 3) in mm."""
        low = np.floor((points_mm.min(axis=0) - reach_mm - self.cells.origin_mm) / CELL_MM).astype(int).clip(0)
        high = np.ceil((points_mm.max(axis=0) + reach_mm - self.cells.origin_mm) / CELL_MM).astype(int)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return replace(
            self,
            cells=self.cells.crop(low, high),
            hu=self.hu[box],
            sharp_hu=self.sharp_hu[box],
            base=self.base[box],
            log_odds=None if self.log_odds is None else self.log_odds[(slice(None), *box)],
        )

    def index_of(self, points_mm: Doubles) -> Doubles:
        """Fractional cell indices of points (..., 3), as (3, ...)."""
        return np.moveaxis((points_mm - self.cells.origin_mm) / CELL_MM - 0.5, -1, 0)

    def cell_of(self, point_mm: Doubles) -> tuple[int, ...]:
        """The cell that a point (3,) lies in."""
        at = np.floor((point_mm - self.cells.origin_mm) / CELL_MM).astype(int)
        return tuple(at.clip(0, np.subtract(self.cells.shape, 1)).tolist())

    @property
    def bins(self) -> NDArray[np.intp]:
        """The bin of each cell's HU."""
        return bin_of(self.hu)


def bin_of(hu: Floats) -> NDArray[np.intp]:
    """The bin that each HU falls into."""
    return np.asarray((hu - _BINS[0]) // 5, np.intp).clip(0, len(BIN_HU) - 1)


def density(counts: NDArray[np.number]) -> Doubles:
    """A smooth density (bins,) that is nowhere 0, from counts or weights of each bin; uniform for hardly any."""
    total = float(counts.sum())
    if total < 1e-9:
        return np.full(len(counts), 1 / len(counts))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 2.0) / total
    return np.asarray((smooth + 1e-3) / (smooth + 1e-3).sum())


def _cells_around(volume: Volume, points_mm: Doubles, reach_mm: float, cell_mm: float) -> Lattice:
    low = np.floor((points_mm.min(axis=0) - reach_mm) / cell_mm).astype(int)
    high = np.ceil((points_mm.max(axis=0) + reach_mm) / cell_mm).astype(int)
    return lattice_for(volume, cell_mm, (low, high))


def _log_odds(evidence: PointCloud, cells: Lattice) -> Floats | None:
    """Log odds of each class, -3 ... 3; tissue where the networks saw no point."""
    if evidence.probability is None:
        return None
    at = [evidence.lattice.cells_around(cells, axis) for axis in range(3)]
    first = np.array([int(own.min()) for own in at])
    size = [int(own.max()) - low + 1 for own, low in zip(at, first, strict=True)]
    dense = np.zeros((*size, evidence.probability.shape[1]), np.float32)
    dense[..., 0] = 1
    index = evidence.index - first
    there = ((index >= 0) & (index < dense.shape[:3])).all(axis=1)
    dense[tuple(index[there].T)] = evidence.probability[there]
    p = dense[np.ix_(*(own - low for own, low in zip(at, first, strict=True)))]
    return np.moveaxis(np.clip(np.log((p + 0.01) / (1.01 - p)), -3, 3), -1, 0)
