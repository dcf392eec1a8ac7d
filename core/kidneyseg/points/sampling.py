"""Which cells or voxels of a CT become points: a share of the body, or intensity bands of the whole volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import HU_WINDOW, Volume
from kidneyseg.points.body import body_mask_on
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.resample import lattice_for, nearest_values, resample_hu, voxel_lattice
from kidneyseg.progress import Progress
from kidneyseg.settings import BandSettings

# No point in the body is darker, whatever share is kept: air and lung are never kidney.
LOWEST_HU = HU_WINDOW[0] + 25

# The body mask is computed on cells of this size, unless the points' own cells are about as large.
BODY_GRID_MM = 4.0
_BODY_GRIDS_MM = (3.0, 6.0)

_BINS = HU_WINDOW[1] - HU_WINDOW[0] + 1

# Voxels along x, and of these along y, that are copied into C order at a time; all of x is much slower.
_SLAB, _BLOCK = 64, 16


def hu_histogram(hu: NDArray[np.int16], inside: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Voxels per HU after clipping to HU_WINDOW: int64 (401,), first bin HU_WINDOW[0]. Streams along the last axis."""
    counts = np.zeros(_BINS, np.int64)
    for k in range(hu.shape[-1]):
        values = hu[..., k] if inside is None else hu[..., k][inside[..., k]]
        clipped = np.clip(values, *HU_WINDOW) - HU_WINDOW[0]
        counts += np.bincount(clipped.ravel(order="K"), minlength=_BINS)
    return counts


def intensity_threshold(hu: NDArray[np.int16], inside: NDArray[np.bool_] | None, kept_percent: float) -> int:
    """The highest HU such that at least `kept_percent` of the values (inside, where given) are >= it.

    By histogram of the HU clipped to HU_WINDOW, so the threshold lies in that window. Voxels at the threshold are all
    kept (`>=`), so ties keep somewhat more than `kept_percent`. Without any value it is HU_WINDOW[1].
    """
    return _threshold(hu_histogram(hu, inside), kept_percent / 100)


def kept_inside(hu: NDArray[np.int16], inside: NDArray[np.bool_], kept_percent: float) -> NDArray[np.bool_]:
    """Which cells become stage 1's points: the brightest of those inside the body, none below LOWEST_HU.

    Args:
        hu: int16 (X, Y, Z).
        inside: bool (X, Y, Z), the body.
        kept_percent: share of the cells inside that is kept, in percent.

    Returns:
        bool (X, Y, Z).
    """
    return inside & (hu >= max(intensity_threshold(hu, inside, kept_percent), LOWEST_HU))


def sample_body(
    volume: Volume, lattice: Lattice, kept_percent: float, *, progress: Progress | None = None
) -> PointCloud:
    """The cells that `kept_inside` keeps, as one cloud.

    Args:
        volume: the CT.
        lattice: the cells, over the whole volume.
        kept_percent: share of the cells inside the body that is kept, in percent.
        progress: checked along the way.

    Returns:
        Points with HU clipped to HU_WINDOW; empty when there is no patient.
    """
    hu = resample_hu(volume, lattice, progress=progress)
    if _BODY_GRIDS_MM[0] <= min(lattice.step_mm) and max(lattice.step_mm) <= _BODY_GRIDS_MM[1]:
        inside = body_mask_on(hu)
    else:
        coarse = lattice_for(volume, BODY_GRID_MM)
        inside = nearest_values(body_mask_on(resample_hu(volume, coarse, progress=progress)), coarse, lattice)
    index = np.argwhere(kept_inside(hu, inside, kept_percent)).astype(np.int32)
    return PointCloud(lattice, index, hu[tuple(index.T)])


def sample_bands(volume: Volume, settings: BandSettings, *, progress: Progress | None = None) -> list[PointCloud]:
    """The paper's sampling: the brightest voxels of the whole volume in intensity bands, brightest band first.

    Returns:
        `settings.bands` clouds on the voxel lattice, HU clipped to HU_WINDOW; each kept voxel is in exactly one. Bands
        can be empty where many voxels have the same HU (see `band_bounds`).
    """
    progress = progress or Progress()
    counts = hu_histogram(volume.hu)
    bounds = band_bounds_of(counts, settings)
    lattice = voxel_lattice(volume.shape, volume.spacing_mm)
    sizes = [int(counts[lowest - HU_WINDOW[0] : highest - HU_WINDOW[0] + 1].sum()) for lowest, highest in bounds]
    bands = [PointCloud(lattice, np.empty((size, 3), np.int32), np.empty(size, np.int16)) for size in sizes]
    ends = [0] * len(bands)
    for x in range(0, volume.shape[0], _SLAB):
        slab = _c_ordered(volume.hu[x : x + _SLAB])  # so that the points are in lexicographic order
        np.clip(slab, *HU_WINDOW, out=slab)
        kept = np.flatnonzero(slab.reshape(-1) >= bounds[-1][0])
        hu = slab.reshape(-1)[kept]
        for i, (band, (lowest, highest)) in enumerate(zip(bands, bounds, strict=True)):
            own = (hu >= lowest) & (hu <= highest)
            begin, ends[i] = ends[i], ends[i] + int(np.count_nonzero(own))
            band.hu[begin : ends[i]] = hu[own]
            index = band.index[begin : ends[i]]
            index[:, 0], index[:, 1], index[:, 2] = np.unravel_index(kept[own], slab.shape)
            index[:, 0] += x
        progress.check()
    return bands


def _c_ordered(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """A copy in C order."""
    copy = np.empty(hu.shape, np.int16)
    for y in range(0, hu.shape[1], _BLOCK):
        copy[:, y : y + _BLOCK] = hu[:, y : y + _BLOCK]
    return copy


def band_bounds(hu: NDArray[np.int16], settings: BandSettings) -> list[tuple[int, int]]:
    """(lowest, highest) HU of each band, both included, brightest first, on HU clipped to HU_WINDOW.

    The brightest `kept_percent` is cut into `bands` equal shares at bins of the histogram, so that voxels of equal
    HU stay together: a bin across a cut goes wholly to the brighter band, which makes that band larger and the next
    one smaller, or empty (then lowest > highest). The brightest band ends at HU_WINDOW[1], where everything brighter
    was clipped to.
    """
    return band_bounds_of(hu_histogram(hu), settings)


def band_bounds_of(counts: NDArray[np.int64], settings: BandSettings) -> list[tuple[int, int]]:
    """`band_bounds` of values whose `hu_histogram` is `counts`."""
    bounds = []
    highest = HU_WINDOW[1]
    for band in range(1, settings.bands + 1):
        lowest = _threshold(counts, settings.kept_percent / 100 * band / settings.bands)
        bounds.append((lowest, highest))
        highest = min(highest, lowest - 1)
    return bounds


def _threshold(counts: NDArray[np.int64], share: float) -> int:
    """The highest HU with at least `share` of all counts at or above it; the window's top for an empty histogram."""
    total = int(counts.sum())
    if total == 0:
        return HU_WINDOW[1]
    at_or_above = counts[::-1].cumsum()
    # The tolerance keeps rounding from adding one value to an exact share (30 % of 10 values).
    wanted = max(1, int(np.ceil(share * total - 1e-9 * total)))
    return HU_WINDOW[1] - int(np.searchsorted(at_or_above, min(wanted, total)))
