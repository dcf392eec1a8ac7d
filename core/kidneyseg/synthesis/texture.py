"""What a lesion looks like inside: tumours with blotches, rim and necrosis, plain cysts, and the host's own noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from kidneyseg.synthesis.lesion_library import TumourHU
from kidneyseg.synthesis.lesion_shapes import correlated_noise

# HU that divides fat from water-like tissue.
_FAT_HU = -25.0
# Above this even soft tissue saturates in some CTs and has lost its noise.
_BRIGHT_HU = 240.0
# Noise is correlated over at most this many voxels.
_LAGS = 6
_NECROSIS_HU = (8.0, 35.0)


def tumour_hu(
    share: NDArray[np.float32],
    aim: TumourHU,
    noise_sd: float,
    spacing: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """HU of a tumour without noise, float32, meaningful where `share` > 0.

    Args:
        share: float32 (X, Y, Z), how much of each voxel the tumour fills.
        aim: median and spread over the tumour's voxels, as measured on a real one, noise and rim included.
        noise_sd: SD of the noise that will be added, in HU: it is taken off the spread.
        spacing: voxel edge lengths in mm.
    """
    solid = share >= 0.5
    radius = float((0.75 / np.pi * solid.sum() * spacing.prod()) ** (1 / 3))
    # A part of the measured spread is the rim's partial volume, the more so the smaller the lesion.
    rim_sd = 18.0 * min(1.0, 15.0 / radius)
    spread = np.sqrt(max(aim.sd**2 - noise_sd**2 - rim_sd**2, 16.0)) * np.clip(radius / 20.0, 0.4, 1.0)
    field = 0.45 * correlated_noise(share.shape, float(rng.uniform(1.2, 2.5)), spacing, rng)
    field += 0.9 * correlated_noise(share.shape, float(np.clip(0.35 * radius, 2.0, 9.0)), spacing, rng)
    hu = aim.median + 0.85 * float(spread) * field
    depth = ndimage.distance_transform_edt(solid, sampling=spacing).astype(np.float32)
    enhancement = max(aim.median - 35.0, 0.0)
    if radius > 15.0 and rng.random() < 0.6 and enhancement > 10.0:
        hu = _with_necrosis(hu, depth, radius, spacing, rng)
    if rng.random() < 0.35:
        width = float(rng.uniform(1.5, 4.0))
        hu += float(rng.uniform(0.1, 0.4)) * enhancement * np.exp(-((depth / width) ** 2))
    hu += aim.median - float(np.median(hu[solid]))
    return np.asarray(hu, dtype=np.float32)


def _with_necrosis(
    hu: NDArray[np.float32],
    depth: NDArray[np.float32],
    radius: float,
    spacing: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Dead, unenhanced patches, soft-edged, deep inside rather than at the rim."""
    blotches = correlated_noise(hu.shape, float(rng.uniform(0.2, 0.4)) * radius, spacing, rng)
    tendency = depth / radius + 0.35 * blotches
    threshold = float(np.quantile(tendency[depth > 0], 1.0 - rng.uniform(0.05, 0.4)))
    dead = 1.0 / (1.0 + np.exp(-np.clip((tendency - threshold) / 0.06, -30, 30)))
    dead *= np.clip(depth / 4.0, 0.0, 1.0)
    return np.asarray(hu + dead * (rng.uniform(*_NECROSIS_HU) - hu), dtype=np.float32)


def host_noise(
    grey: NDArray[np.float32], spacing: NDArray[np.float64], shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float32]:
    """New noise with the strength and the texture that a CT patch has.

    The patch's own residual would carry its edges into the lesion as ghosts. Instead its autocovariance is
    measured where soft tissue is even, and noise with that covariance is drawn.

    Args:
        grey: float32 (X, Y, Z), HU; some 5 cm are enough.
        spacing: voxel edge lengths in mm.
        shape: of the noise wanted.
        rng: draws the noise.

    Returns:
        float32 of `shape`, mean about 0.
    """
    rest, even = _residual(grey, spacing)
    count = int(even.sum())
    if count < 50:
        return rng.normal(0.0, 12.0, shape).astype(np.float32)
    strength = float(1.4826 * np.median(np.abs(rest[even])))
    rest = np.where(even, np.clip(rest, -3.0 * strength, 3.0 * strength), 0.0).astype(np.float32)
    size = [fft.next_fast_len(n + _LAGS, real=True) for n in grey.shape]
    pairs = fft.irfftn(np.abs(fft.rfftn(even.astype(np.float32), size)) ** 2, size)
    covariance = fft.irfftn(np.abs(fft.rfftn(rest, size)) ** 2, size) / np.maximum(pairs, 0.2 * count)
    lags = np.arange(-_LAGS, _LAGS + 1)
    taper = 0.5 + 0.5 * np.cos(np.pi * lags / (_LAGS + 1))
    covariance = covariance[np.ix_(lags, lags, lags)] * np.einsum("i,j,k->ijk", taper, taper, taper)
    size = [fft.next_fast_len(max(n, 2 * _LAGS + 1), real=True) for n in shape]
    kernel = np.zeros(size, dtype=np.float32)
    kernel[np.ix_(lags, lags, lags)] = covariance
    power = np.clip(fft.rfftn(kernel).real, 0.0, None)
    white = fft.rfftn(rng.standard_normal(size, dtype=np.float32))
    noise = fft.irfftn(white * np.sqrt(power), size)[tuple(slice(n) for n in shape)]
    return np.asarray(noise * (strength / max(float(noise.std()), 1e-6)), dtype=np.float32)


def _residual(grey: NDArray[np.float32], spacing: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What is left of a patch without its smooth part, and where that is noise: in even soft tissue."""
    smooth = ndimage.gaussian_filter(grey, 2.0 / spacing)
    tissue = (smooth > _FAT_HU) & (smooth < _BRIGHT_HU) & (grey > grey.min()) & (grey < grey.max())
    slope = sum(np.square(slant) for slant in np.gradient(smooth, *spacing))
    even = tissue & (slope <= np.quantile(slope[tissue], 0.5)) if tissue.sum() > 100 else tissue
    sigma = 2.5 / spacing
    weight = ndimage.gaussian_filter(even.astype(np.float32), sigma)
    mean = ndimage.gaussian_filter(np.where(even, grey, 0.0), sigma) / np.maximum(weight, 1e-3)
    return np.asarray(grey - mean, dtype=np.float32), even
