"""Intensity augmentation: what tells one scanner, protocol and reconstruction from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from kidneyseg.arrays import Floats, Range, Rng, Spacing
from kidneyseg.imaging.volume import HU_WINDOW
from kidneyseg.training.augmentation import Augmentation, augmentation, augmented


@dataclass(frozen=True, eq=False)
class Scan:
    """HU on cells or voxels while intensity augmentations change them."""

    hu: Floats  #: float32 (X, Y, Z) in RAS order
    spacing_mm: float | Spacing  #: edge lengths; one number for cubic cells
    kidney_hu: float = 0.0  #: the kidney's level, which changes with the contrast; see `points.features.kidney_level`


def simulate_scanner(scan: Scan, augmentations: Sequence[Augmentation], rng: Rng) -> Scan:
    """The scan after intensity augmentations, clipped to HU_WINDOW; what was air stays air."""
    low, high = HU_WINDOW
    changed = augmented(scan, augmentations, rng)
    hu = np.where(scan.hu <= low + 1, np.float32(low), changed.hu)
    return replace(changed, hu=np.asarray(np.clip(hu, low, high), np.float32))


@augmentation("intensity", "gain_offset")
def change_gain_offset(
    scan: Scan,
    rng: Rng,
    *,
    scale: Range = (0.95, 1.05),
    offset_hu: Range = (-12.0, 12.0),
    contrast: Range = (0.93, 1.07),
    strong_contrast: Range = (0.7, 1.35),
    strong_contrast_probability: float = 0.4,
) -> Scan:
    """Calibration, tube voltage and dose of contrast agent.

    Tube voltage and dose change tissue far more than calibration does, but hardly fat: HU above 0 are multiplied by
    `scale + contrast - 1`, those below by `scale`.

    Args:
        scale: range of the gain of all HU.
        offset_hu: range of the offset of all HU.
        contrast: range of the additional gain of HU above 0.
        strong_contrast: its range in some samples.
        strong_contrast_probability: of such a sample.
    """
    strong = rng.random() < strong_contrast_probability
    gain = rng.uniform(*(strong_contrast if strong else contrast))
    factor, offset = np.float32(rng.uniform(*scale)), np.float32(rng.uniform(*offset_hu))

    def changed(hu: Floats) -> Floats:
        out = hu * factor + offset
        out += np.maximum(hu, 0) * np.float32(gain - 1)
        return np.asarray(out, np.float32)

    return replace(scan, hu=changed(scan.hu), kidney_hu=float(changed(np.array([scan.kidney_hu], np.float32))[0]))


@augmentation("intensity", "blur")
def blur(scan: Scan, rng: Rng, *, slice_mm: Range = (0.0, 5.0), in_plane_sd_mm: Range = (0.0, 1.2)) -> Scan:
    """Thicker slices and a softer reconstruction kernel.

    Args:
        slice_mm: range of the slice thickness that is simulated along z, by a Gaussian of .4 times that SD.
        in_plane_sd_mm: range of the SD of the blur along x and y.
    """
    along_z = rng.uniform(*slice_mm) * 0.4
    in_plane = rng.uniform(*in_plane_sd_mm)
    sigma = np.array((in_plane, in_plane, along_z)) / scan.spacing_mm
    return replace(scan, hu=ndimage.gaussian_filter(scan.hu, sigma, mode="nearest", truncate=2.5))


@augmentation("intensity", "noise")
def add_noise(scan: Scan, rng: Rng, *, sd_hu: Range = (0.0, 30.0)) -> Scan:
    """White noise.

    Args:
        sd_hu: range of the SD on cells of up to 1.5 mm; larger cells average it.
    """
    averaged = np.prod(np.broadcast_to(scan.spacing_mm, 3) / 1.5)
    sd = rng.uniform(*sd_hu) / max(1.0, float(averaged)) ** 0.5
    return replace(scan, hu=scan.hu + rng.standard_normal(scan.hu.shape, dtype=np.float32) * np.float32(sd))


@augmentation("intensity", "correlated_noise")
def add_correlated_noise(
    scan: Scan, rng: Rng, *, reach_mm: tuple[float, float, float] = (5.0, 2.5, 4.0), sd_hu: Range = (0.0, 14.0)
) -> Scan:
    """Noise correlated over some mm, as of a noisy CT: without it, every patch of a homogeneous kidney looks a tumour.

    Args:
        reach_mm: largest SD of the kernel along x, y, z. It is largest from side to side, where the body absorbs most.
        sd_hu: range of the noise's SD.
    """
    noise = correlated_noise(scan.hu.shape, scan.spacing_mm, rng, reach_mm)
    return replace(scan, hu=scan.hu + noise * np.float32(rng.uniform(*sd_hu)))


def correlated_noise(
    shape: tuple[int, ...], spacing_mm: float | Spacing, rng: Rng, reach_mm: tuple[float, float, float]
) -> Floats:
    """Noise of SD 1, float32 of `shape`: white noise after a Gaussian filter with SDs drawn up to `reach_mm`."""
    sigma = rng.uniform(0, reach_mm) / spacing_mm
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="nearest", truncate=2.5)
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)
