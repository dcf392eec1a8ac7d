"""Values that are not HU: voxels that int16 cannot hold, and HU with a constant offset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AIR_HU = -1024
NOT_A_NUMBER, OUT_OF_RANGE = 1, 2

_AIR = -1000
_USUAL_OFFSETS = (1024, 1000, 2048, 4096, 8192, 16384, 32768)
_SAMPLE = 96  # voxels along each axis are enough for a histogram
# Air is a narrow peak: at least this share of all voxels within this many HU, and few voxels are slightly brighter.
_LEAST_AIR, _AIR_HALF_WIDTH = 0.03, 40
# Of all voxels brighter than air, the least share of fat and soft tissue and the largest share of bone and contrast.
_LEAST_SOFT, _MOST_BONE = 0.5, 0.1
_SOFT_HU, _BONE_HU = (-150, 170), 500
# Ranges of the highest peak of the body: fat, or soft tissue.
_PEAKS_HU = ((-140, -60), (-10, 110))


def round_valid(values: NDArray[np.floating], hu: NDArray[np.int16], invalid: NDArray[np.uint8]) -> float:
    """Round values into `hu` and mark the invalid ones, which int16 cannot hold.

    Args:
        values: HU of any shape.
        hu: int16 of that shape, written to; invalid voxels become 0.
        invalid: uint8 of that shape, zeros; NOT_A_NUMBER or OUT_OF_RANGE is written at invalid voxels.

    Returns:
        The smallest valid value; the largest int16 where there is none.
    """
    range_ = np.iinfo(np.int16)
    rounded = np.rint(values)
    invalid[(rounded < range_.min) | (rounded > range_.max)] = OUT_OF_RANGE
    invalid[~np.isfinite(rounded)] = NOT_A_NUMBER
    hu[...] = np.where(invalid == 0, rounded, 0)
    return float(rounded[invalid == 0].min(initial=range_.max))


def find_hu_offset(hu: NDArray[np.int16], invalid: NDArray[np.uint8] | None = None) -> int:
    """The offset to add to a file's values to get HU, estimated from the peaks of air, fat and soft tissue.

    Some programs save HU + 1024 without the intercept that undoes it.

    Args:
        hu: int16 (X, Y, Z), the file's values.
        invalid: uint8 (X, Y, Z), the marks of `round_valid`; marked voxels are left out.

    Returns:
        0 where the values are HU, or where the offset is uncertain.
    """
    step = tuple(slice(None, None, max(1, n // _SAMPLE)) for n in hu.shape)
    values = hu[step] if invalid is None else hu[step][invalid[step] == 0]
    if values.size == 0:
        return 0
    low = int(values.min())
    counts = np.bincount(values.ravel().astype(np.int64) - low)
    found: list[int] = []
    for air, padded in _air_peaks(counts):
        offset = _usual(_AIR - (air + low), padded)
        if _looks_like_hu(counts, low + offset):
            found.append(offset)
    if not found or min(map(abs, found)) <= 2 * _AIR_HALF_WIDTH or max(found) - min(found) > 2 * _AIR_HALF_WIDTH:
        return 0
    return found[0]


def add_offset(hu: NDArray[np.int16], offset: int) -> None:
    """Add an offset to all voxels (X, Y, Z), in place; clipped to int16."""
    range_ = np.iinfo(np.int16)
    for k in range(hu.shape[2]):
        hu[:, :, k] = np.clip(hu[:, :, k].astype(np.int32) + offset, range_.min, range_.max)


def _air_peaks(counts: NDArray[np.int64]) -> list[tuple[int, bool]]:
    """Narrow peaks of a histogram with enough voxels to be air: position, and whether it is a single value."""
    width = 2 * _AIR_HALF_WIDTH + 1
    sums = np.convolve(np.pad(counts, 2 * width), np.ones(width), "same")
    here, brighter = sums[2 * width : -2 * width], sums[3 * width + 20 : len(sums) - width + 20]
    is_peak = (here >= _LEAST_AIR * counts.sum()) & (here >= 3 * brighter)
    beside = np.pad(counts, 1)[:-2] + np.pad(counts, 1)[2:]
    noise = np.where(counts > 3 * beside, beside // 2, counts)  # without the spike of a value that fills a region
    smooth = np.convolve(noise, np.ones(9), "same")
    peaks = []
    for start, stop in np.flatnonzero(np.diff(np.pad(is_peak, 1))).reshape(-1, 2).tolist():
        run = slice(start, stop)
        padded = bool(noise[run].sum() < _LEAST_AIR * counts.sum())
        peaks.append((int(start + (counts if padded else smooth)[run].argmax()), padded))
    return peaks


def _usual(offset: int, padded: bool) -> int:
    """The common offset near `offset`, if there is one; air of a single value may be a scanner's padding."""
    sign = int(np.sign(offset))
    if padded and abs(offset) + _AIR - AIR_HU in _USUAL_OFFSETS:
        return sign * (abs(offset) + _AIR - AIR_HU)
    near = [usual for usual in _USUAL_OFFSETS if abs(abs(offset) - usual) <= 12]
    return sign * near[0] if near else offset


def _looks_like_hu(counts: NDArray[np.int64], lowest: int) -> bool:
    """Whether the peaks of a histogram whose first bin is `lowest` HU are those of fat and soft tissue."""

    def between(low: int, high: int) -> NDArray[np.int64]:
        return counts[max(low - lowest, 0) : max(high - lowest, 0)]

    body = between(_AIR + 2 * _AIR_HALF_WIDTH, 1 << 17).sum()
    if body < 0.1 * counts.sum() or between(*_SOFT_HU).sum() < _LEAST_SOFT * body:
        return False
    if between(_BONE_HU, 1 << 17).sum() > _MOST_BONE * body:
        return False
    smooth = np.convolve(np.pad(between(-300, 400), 10), np.ones(21), "same")
    peak = int(smooth.argmax()) - 10 + max(-300, lowest)
    return any(low <= peak <= high for low, high in _PEAKS_HU)
