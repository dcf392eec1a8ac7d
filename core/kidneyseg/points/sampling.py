"""Which cells or voxels of a CT become points: a share of the body, or bands of the whole volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kidneyseg.imaging.volume import HU_WINDOW, Volume
from kidneyseg.points.body import body_mask_on
from kidneyseg.points.cloud import PointCloud
from kidneyseg.points.resample import lattice_for, resample_hu, voxel_lattice
from kidneyseg.progress import Progress
from kidneyseg.settings import SamplingSettings

# No point is darker than this: air and lung are never kidney, whatever share of the body is kept.
LOWEST_HU = HU_WINDOW[0] + 25

_BINS = HU_WINDOW[1] - HU_WINDOW[0] + 1


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

    By histogram of the HU clipped to HU_WINDOW, so the answer lies in that window. Voxels at the threshold are all
    kept (`>=`), so ties keep somewhat more than asked for. Without any value it is HU_WINDOW[1].
    """
    return _threshold(hu_histogram(hu, inside), kept_percent / 100)


def sample_body(volume: Volume, settings: SamplingSettings, *, progress: Progress | None = None) -> PointCloud:
    """Cells of the lattice inside the patient that are among its brightest `kept_percent`, for the default preset.

    With `region` "volume" the share is of all cells of the box. `grid_mm` None takes the voxels themselves as cells.
    Never a cell under LOWEST_HU. Rows in lexicographic order of their cell; empty when there is no patient.
    """
    step = volume.spacing_mm if settings.grid_mm is None else settings.grid_mm
    lattice = lattice_for(volume, step)
    hu = resample_hu(volume, lattice, progress=progress)
    inside = body_mask_on(hu) if settings.region == "body" else None
    threshold = max(intensity_threshold(hu, inside, settings.kept_percent), LOWEST_HU)
    kept = hu >= threshold
    if inside is not None:
        kept &= inside
    return PointCloud(lattice, np.argwhere(kept).astype(np.int32), hu[kept])


def band_bounds(
    hu: NDArray[np.int16], settings: SamplingSettings, inside: NDArray[np.bool_] | None = None
) -> list[tuple[int, int]]:
    """(lowest, highest) HU of each band, both included, brightest first, on HU clipped to HU_WINDOW.

    The brightest `kept_percent` is cut into `bands` equal shares at bins of the histogram, so that voxels of equal
    HU are never torn apart: a bin that straddles a cut goes wholly to the brighter band, which makes that band larger
    and the next one smaller, or empty (then lowest > highest). The brightest band ends at HU_WINDOW[1], where
    everything brighter was clipped to: it has no upper bound.
    """
    counts = hu_histogram(hu, inside)
    bounds = []
    highest = HU_WINDOW[1]
    for band in range(1, settings.bands + 1):
        lowest = _threshold(counts, settings.kept_percent / 100 * band / settings.bands)
        bounds.append((lowest, highest))
        highest = min(highest, lowest - 1)
    return bounds


def sample_bands(volume: Volume, settings: SamplingSettings, *, progress: Progress | None = None) -> list[PointCloud]:
    """The paper's sampling: the brightest voxels of the whole volume in intensity bands, brightest band first.

    Returns exactly `settings.bands` clouds on the voxel lattice, rows in lexicographic order; every kept voxel is in
    exactly one. Bands can be empty where HU are heavily tied (see `band_bounds`). HU are clipped to HU_WINDOW.
    """
    bounds = band_bounds(volume.hu, settings)
    lattice = voxel_lattice(volume.shape, volume.spacing_mm)
    rows: list[list[NDArray[np.int32]]] = [[] for _ in bounds]
    values: list[list[NDArray[np.int16]]] = [[] for _ in bounds]
    slab = 32
    for x in range(0, volume.shape[0], slab):
        # C order within the slab: np.argwhere then walks it fast and in lexicographic order.
        hu = np.clip(np.ascontiguousarray(volume.hu[x : x + slab]), *HU_WINDOW)
        for band, (lowest, highest) in enumerate(bounds):
            kept = (hu >= lowest) & (hu <= highest)
            index = np.argwhere(kept).astype(np.int32)
            index[:, 0] += x
            rows[band].append(index)
            values[band].append(hu[kept])
        if progress is not None:
            progress.check()
    return [PointCloud(lattice, np.concatenate(i), np.concatenate(v)) for i, v in zip(rows, values, strict=True)]


def _threshold(counts: NDArray[np.int64], share: float) -> int:
    """The highest HU with at least `share` of all counts at or above it; the window's top for an empty histogram."""
    total = int(counts.sum())
    if total == 0:
        return HU_WINDOW[1]
    at_or_above = counts[::-1].cumsum()
    # The tolerance keeps an exact share (30 % of 10 values) from asking for one value more by rounding.
    wanted = max(1, int(np.ceil(share * total - 1e-9 * total)))
    return HU_WINDOW[1] - int(np.searchsorted(at_or_above, min(wanted, total)))
