"""What training does to a case before the network sees it: space, intensity and the scanner.

Everything draws from one `numpy.random.Generator`, so a step can be drawn again from its seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.imaging.volume import HU_WINDOW


@dataclass(frozen=True)
class SpatialRange:
    """How far a case is turned and stretched: degrees about each axis, relative size, chance of a left-right flip."""

    rotate_deg: tuple[float, float, float] = (6.0, 6.0, 12.0)
    scale: tuple[float, float] = (0.85, 1.18)
    stretch: float = 0.06
    flip: float = 0.5


def random_affine(rng: np.random.Generator, limits: SpatialRange) -> NDArray[np.float64]:
    """A random (3, 3) matrix from output to input directions: rotation, one size, a little stretch per axis, a flip."""
    matrix = np.eye(3)
    for axis, limit in enumerate(limits.rotate_deg):
        angle = np.deg2rad(rng.uniform(-limit, limit))
        a, b = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    size = np.exp(rng.uniform(*np.log(limits.scale)))
    stretch = np.exp(rng.uniform(-limits.stretch, limits.stretch, 3))
    matrix = matrix @ np.diag(1.0 / (size * stretch))
    if rng.random() < limits.flip:
        matrix[0] *= -1
    return matrix


def warp(
    hu: NDArray[np.float32], labels: NDArray[np.uint8], matrix: NDArray[np.float64], *, outside_hu: float
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Resample HU (linear) and labels (nearest), both (X, Y, Z) of cubic cells, about their centre by `matrix`."""
    shape = hu.shape
    # grid_sample counts its coordinates in half extents, last axis first.
    half = np.asarray(shape, dtype=np.float64) / 2
    theta = (matrix * half[None, :] / half[:, None])[::-1, ::-1].copy()
    theta = np.concatenate([theta, np.zeros((3, 1))], axis=1)
    grid = torch.nn.functional.affine_grid(torch.from_numpy(theta[None]).float(), [1, 1, *shape], align_corners=False)
    image = torch.from_numpy(hu)[None, None] - outside_hu
    moved = torch.nn.functional.grid_sample(image, grid, mode="bilinear", align_corners=False)[0, 0] + outside_hu
    mask = torch.from_numpy(labels)[None, None].float()
    marked = torch.nn.functional.grid_sample(mask, grid, mode="nearest", align_corners=False)[0, 0]
    return moved.numpy(), marked.to(torch.uint8).numpy()


def scanner(hu: NDArray[np.float32], cell_mm: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Another scanner's look: overall gain and offset, thicker slices or softer kernel at times, noise."""
    low, high = HU_WINDOW
    out = hu * rng.uniform(0.9, 1.1) + rng.uniform(-12, 12)
    if rng.random() < 0.3:
        thick = rng.uniform(0.0, 5.0) / cell_mm * 0.4
        soft = rng.uniform(0.0, 1.2) / cell_mm
        out = ndimage.gaussian_filter(out, (soft, soft, thick), mode="nearest", truncate=2.5)
    if rng.random() < 0.6:
        sd = rng.uniform(0, 30) * min(1.0, (1.5 / cell_mm) ** 1.5)
        out = out + rng.standard_normal(out.shape, dtype=np.float32) * np.float32(sd)
    out[hu <= low + 1] = low  # air stays air
    return np.asarray(np.clip(out, low, high), np.float32)


def random_field_of_view(shape: tuple[int, ...], rng: np.random.Generator, smallest: float = 0.5) -> tuple[slice, ...]:
    """A box that a smaller field of view would have shown: at least `smallest` of each axis, placed at random."""
    box = []
    for size in shape:
        keep = max(8, round(size * rng.uniform(smallest, 1.0)))
        start = int(rng.integers(0, size - keep + 1))
        box.append(slice(start, start + keep))
    return tuple(box)
