"""What a lesion looks like inside: texture, rim and necrosis of tumours, and noise as in the surrounding CT."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

from kidneyseg.arrays import Doubles, Floats, Mask, Range, Rng

# Radii of the balls whose volumes a tumour needs to be mostly necrotic, or cystic within its wall.
_LEAST_NECROTIC_MM, _LEAST_CYSTIC_MM = 12.0, 9.0


class TumourHU(NamedTuple):
    """The HU a tumour is given."""

    median: float  #: over the whole lesion
    sd: float  #: over the whole lesion, noise and partial volume at its rim included


# What makes a tumour's HU: of its share of each voxel, the HU to aim at, the noise's SD, the spacing, a generator.
Texture = Callable[[Floats, TumourHU, float, Doubles, Rng], Floats]


def gaussian_random_field(shape: tuple[int, ...], scale_mm: float, spacing: Doubles, rng: Rng) -> Floats:
    """A random field of mean 0 and SD 1, float32 of `shape`, correlated over `scale_mm` (SD of the Gaussian kernel).

    It is made on a grid of about that scale and interpolated: the cost does not grow with the scale.
    """
    step = np.maximum(scale_mm / spacing / 1.2, 1.0)
    size = [int(np.ceil(n / s)) + 4 for n, s in zip(shape, step, strict=True)]
    field = rng.standard_normal(size, dtype=np.float32)
    field = ndimage.gaussian_filter(field, scale_mm / spacing / step)
    for axis, n in enumerate(shape):
        position = 1.5 + np.arange(n) / step[axis]
        before = position.astype(int)
        share = (position - before).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        field = field.take(before, axis) * (1 - share) + field.take(before + 1, axis) * share
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6), dtype=np.float32)


def tumour_texture(
    share: Floats,
    aim: TumourHU,
    noise_sd: float,
    spacing: Doubles,
    rng: Rng,
    *,
    necrosis_probability: float = 0.6,
    necrosis_radius_mm: float = 15.0,
    rim_probability: float = 0.35,
    rim_mm: Range = (1.5, 4.0),
) -> Floats:
    """HU of a tumour without noise, float32, valid where `share` > 0.

    Args:
        share: float32 (X, Y, Z), how much of each voxel the tumour fills.
        aim: the HU to give it, as measured on a real tumour.
        noise_sd: SD of the noise that is added later, in HU: it is taken off the SD.
        spacing: voxel edge lengths in mm.
        necrosis_probability: of an unenhanced centre, in enhanced tumours above `necrosis_radius_mm`.
        necrosis_radius_mm: smallest radius of a tumour that can be necrotic.
        rim_probability: of a brighter rim.
        rim_mm: range of the rim's width.
    """
    solid = share >= 0.5
    radius = float((0.75 / np.pi * solid.sum() * spacing.prod()) ** (1 / 3))
    # A part of the measured SD is partial volume at the rim, the more so the smaller the lesion.
    rim_sd = 18.0 * min(1.0, 15.0 / radius)
    spread = np.sqrt(max(aim.sd**2 - noise_sd**2 - rim_sd**2, 16.0)) * np.clip(radius / 20.0, 0.4, 1.0)
    field = 0.45 * gaussian_random_field(share.shape, float(rng.uniform(1.2, 2.5)), spacing, rng)
    field += 0.9 * gaussian_random_field(share.shape, float(np.clip(0.35 * radius, 2.0, 9.0)), spacing, rng)
    hu = aim.median + 0.85 * float(spread) * field
    depth = ndimage.distance_transform_edt(solid, sampling=spacing).astype(np.float32)
    enhancement = max(aim.median - 35.0, 0.0)
    if radius > necrosis_radius_mm and rng.random() < necrosis_probability and enhancement > 10.0:
        hu = _with_necrosis(hu, depth, radius, spacing, rng)
    if rng.random() < rim_probability:
        width = float(rng.uniform(*rim_mm))
        hu += float(rng.uniform(0.1, 0.4)) * enhancement * np.exp(-((depth / width) ** 2))
    hu += aim.median - float(np.median(hu[solid]))
    return np.asarray(hu, dtype=np.float32)


def necrotic_texture(share: Floats, aim: TumourHU, noise_sd: float, spacing: Doubles, rng: Rng) -> Floats:
    """As `tumour_texture`, most of whose inside is necrotic: its median lies far below `aim`."""
    hu = tumour_texture(share, aim, noise_sd, spacing, rng, necrosis_probability=0.0, rim_probability=0.0)
    depth, radius = _depth_and_radius(share, spacing)
    return _with_necrosis(hu, depth, radius, spacing, rng, part=(0.5, 0.85))


def cystic_texture(share: Floats, aim: TumourHU, noise_sd: float, spacing: Doubles, rng: Rng) -> Floats:
    """A cystic tumour: fluid within a wall, with septa and nodules that have the HU of `aim`; float32."""
    solid = tumour_texture(share, aim, noise_sd, spacing, rng, necrosis_probability=0.0, rim_probability=0.0)
    depth, radius = _depth_and_radius(share, spacing)
    septum = np.abs(gaussian_random_field(share.shape, 0.4 * radius, spacing, rng)) * 0.4 * radius
    nodule = gaussian_random_field(share.shape, 0.25 * radius, spacing, rng) > rng.uniform(1.2, 1.8)
    wall = (depth < rng.uniform(1.5, 3.5)) | (septum < rng.uniform(0.6, 1.5)) | nodule
    part = ndimage.gaussian_filter(wall.astype(np.float32), 0.6 / spacing)
    return np.asarray(rng.uniform(3.0, 25.0) * (1.0 - part) + part * solid, dtype=np.float32)


def textures(necrotic: float, cystic: float) -> Texture:
    """A texture that is one of three, drawn for each tumour.

    Args:
        necrotic: probability of `necrotic_texture`, for tumours from 7 mL on; smaller ones stay solid.
        cystic: probability of `cystic_texture`, from 3 mL on.
    """
    if necrotic + cystic == 0.0:
        return tumour_texture

    def draw(share: Floats, aim: TumourHU, noise_sd: float, spacing: Doubles, rng: Rng) -> Floats:
        drawn, radius = rng.random(), _depth_and_radius(share, spacing)[1]
        texture: Texture = tumour_texture
        if drawn < necrotic:
            texture = necrotic_texture if radius >= _LEAST_NECROTIC_MM else tumour_texture
        elif drawn < necrotic + cystic:
            texture = cystic_texture if radius >= _LEAST_CYSTIC_MM else tumour_texture
        return texture(share, aim, noise_sd, spacing, rng)

    return draw


def _depth_and_radius(share: Floats, spacing: Doubles) -> tuple[Floats, float]:
    """mm below a lesion's surface, and the radius of the ball of its volume."""
    solid = share >= 0.5
    depth = ndimage.distance_transform_edt(solid, sampling=spacing).astype(np.float32)
    return depth, float((0.75 / np.pi * solid.sum() * spacing.prod()) ** (1 / 3))


def _with_necrosis(
    hu: Floats,
    depth: Floats,
    radius: float,
    spacing: Doubles,
    rng: Rng,
    *,
    part: Range = (0.05, 0.4),
    necrosis_hu: Range = (8.0, 35.0),
) -> Floats:
    """Unenhanced, soft-edged patches, deep inside rather than at the rim."""
    patches = gaussian_random_field(hu.shape, float(rng.uniform(0.2, 0.4)) * radius, spacing, rng)
    tendency = depth / radius + 0.35 * patches
    threshold = float(np.quantile(tendency[depth > 0], 1.0 - rng.uniform(*part)))
    share = 1.0 / (1.0 + np.exp(-np.clip((tendency - threshold) / 0.06, -30, 30)))
    share *= np.clip(depth / 4.0, 0.0, 1.0)
    return np.asarray(hu + share * (rng.uniform(*necrosis_hu) - hu), dtype=np.float32)


def matching_noise(
    grey: Floats, spacing: Doubles, shape: tuple[int, ...], rng: Rng, *, lags: int = 6, even_share: float = 0.5
) -> Floats:
    """New noise with the SD and the autocovariance of a CT patch's noise.

    The patch's own residual would carry its edges into the lesion. Instead its autocovariance is measured in
    homogeneous soft tissue, and noise with that covariance is drawn.

    Args:
        grey: float32 (X, Y, Z), HU; some 5 cm are enough.
        spacing: voxel edge lengths in mm.
        shape: of the noise to make.
        lags: voxels over which noise is taken to be correlated.
        even_share: the share of the soft tissue, the most homogeneous, in which it is measured.

    Returns:
        float32 of `shape`, mean about 0.
    """
    rest, even = _residual(grey, spacing, even_share)
    count = int(even.sum())
    if count < 50:
        return rng.normal(0.0, 12.0, shape).astype(np.float32)
    sd = float(1.4826 * np.median(np.abs(rest[even])))
    rest = np.where(even, np.clip(rest, -3.0 * sd, 3.0 * sd), 0.0).astype(np.float32)
    size = [fft.next_fast_len(n + lags, real=True) for n in grey.shape]
    pairs = fft.irfftn(np.abs(fft.rfftn(even.astype(np.float32), size)) ** 2, size)
    covariance = fft.irfftn(np.abs(fft.rfftn(rest, size)) ** 2, size) / np.maximum(pairs, 0.2 * count)
    offsets = np.arange(-lags, lags + 1)
    taper = 0.5 + 0.5 * np.cos(np.pi * offsets / (lags + 1))
    covariance = covariance[np.ix_(offsets, offsets, offsets)] * np.einsum("i,j,k->ijk", taper, taper, taper)
    size = [fft.next_fast_len(max(n, 2 * lags + 1), real=True) for n in shape]
    kernel = np.zeros(size, dtype=np.float32)
    kernel[np.ix_(offsets, offsets, offsets)] = covariance
    power = np.clip(fft.rfftn(kernel).real, 0.0, None)
    white = fft.rfftn(rng.standard_normal(size, dtype=np.float32))
    noise = fft.irfftn(white * np.sqrt(power), size)[tuple(slice(n) for n in shape)]
    return np.asarray(noise * (sd / max(float(noise.std()), 1e-6)), dtype=np.float32)


def _residual(
    grey: Floats, spacing: Doubles, even_share: float, *, tissue_hu: Range = (-25.0, 240.0)
) -> tuple[Floats, Mask]:
    """A patch less its smooth part, and where that is noise: in homogeneous soft tissue.

    Above `tissue_hu` some CTs are saturated and have lost their noise; below it lies fat.
    """
    smooth = ndimage.gaussian_filter(grey, 2.0 / spacing)
    tissue = (smooth > tissue_hu[0]) & (smooth < tissue_hu[1]) & (grey > grey.min()) & (grey < grey.max())
    slope = sum(np.square(slant) for slant in np.gradient(smooth, *spacing))
    even = tissue & (slope <= np.quantile(slope[tissue], even_share)) if tissue.sum() > 100 else tissue
    sigma = 2.5 / spacing
    weight = ndimage.gaussian_filter(even.astype(np.float32), sigma)
    mean = ndimage.gaussian_filter(np.where(even, grey, 0.0), sigma) / np.maximum(weight, 1e-3)
    return np.asarray(grey - mean, dtype=np.float32), even
