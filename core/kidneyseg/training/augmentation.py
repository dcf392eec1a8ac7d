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

# Most SD along (X, Y, Z) of the kernel that makes noise streaky, and most SD in HU of that noise.
_STREAK_MM, _STREAK_HU = (5.0, 2.5, 4.0), 14.0


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
    hu: NDArray[np.floating | np.int16],
    labels: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    *,
    outside_hu: float,
    box: tuple[slice, ...] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Resample HU (linear) and labels (nearest), both (X, Y, Z) of cubic cells, about their centre by `matrix`.

    With `box` only that part of the result is made, which costs as much less as it is smaller.
    """
    box = tuple(slice(0, n) for n in hu.shape) if box is None else box
    grid = sampling_grid(box, np.array(hu.shape) / 2, matrix, np.array(hu.shape) / 2, hu.shape)
    return warp_into(hu, labels, grid, outside_hu=outside_hu)


def warp_into(
    hu: NDArray[np.floating | np.int16], labels: NDArray[np.uint8], grid: torch.Tensor, *, outside_hu: float
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """HU (linear) and labels (nearest), both (X, Y, Z), at the places of a `sampling_grid`."""
    moved = sample_linear(np.asarray(hu, np.float32) - np.float32(outside_hu), grid) + np.float32(outside_hu)
    mask = torch.from_numpy(labels)[None, None].float()
    marked = torch.nn.functional.grid_sample(mask, grid, mode="nearest", align_corners=False)[0, 0]
    return moved, marked.to(torch.uint8).numpy()


def sampling_grid(
    box: tuple[slice, ...],
    centre: NDArray[np.floating],
    matrix: NDArray[np.floating],
    source_centre: NDArray[np.floating],
    source_shape: tuple[int, ...],
) -> torch.Tensor:
    """Where torch's grid_sample has to look for the cells of `box`: float32 (1, X, Y, Z, 3).

    Args:
        box: output cells; cell i covers i...i + 1.
        centre: the output point, in output cells, that `matrix` turns about.
        matrix: (3, 3), output cells to source cells.
        source_centre: where the source has that point, in source cells.
        source_shape: (X, Y, Z) of the source.
    """
    # grid_sample counts its coordinates in half extents from the middle, last axis first.
    half = np.asarray(source_shape, dtype=np.float64) / 2
    start = (source_centre - half) / half
    steps = [np.arange(side.start, side.stop) + 0.5 - c for side, c in zip(box, centre, strict=True)]
    grid = np.empty((1, *(len(step) for step in steps), 3), np.float32)
    for axis in range(3):
        x, y, z = ((step * matrix[axis, i] / half[axis]).astype(np.float32) for i, step in enumerate(steps))
        plane = (x + np.float32(start[axis]))[:, None] + y[None, :]
        np.add(plane[:, :, None], z[None, None, :], out=grid[0, ..., 2 - axis])
    return torch.from_numpy(grid)


def sample_linear(field: NDArray[np.float32], grid: torch.Tensor) -> NDArray[np.float32]:
    """`field` (X, Y, Z) interpolated at a `sampling_grid`; 0 beyond it."""
    image = torch.from_numpy(field)[None, None]
    moved = torch.nn.functional.grid_sample(image, grid, mode="bilinear", align_corners=False)[0, 0]
    return np.asarray(moved.numpy(), np.float32)


@dataclass(frozen=True)
class Tone:
    """Overall gain and offset: HU above 0 are multiplied by `scale + gain - 1`, those below by `scale`."""

    scale: float
    offset: float
    gain: float

    @staticmethod
    def draw(rng: np.random.Generator) -> Tone:
        """A random one."""
        # Tube voltage and dose of contrast agent move tissue far more than calibration does, but hardly move fat.
        gain = rng.uniform(0.7, 1.35) if rng.random() < 0.4 else rng.uniform(0.93, 1.07)
        return Tone(rng.uniform(0.95, 1.05), rng.uniform(-12, 12), gain)

    def of(self, hu: NDArray[np.float32]) -> NDArray[np.float32]:
        """HU of any shape as this tone shows them."""
        out = hu * np.float32(self.scale) + np.float32(self.offset)
        out += np.maximum(hu, 0) * np.float32(self.gain - 1)
        return np.asarray(out, np.float32)


def scanner(
    hu: NDArray[np.float32], cell_mm: float, rng: np.random.Generator, tone: Tone | None = None
) -> NDArray[np.float32]:
    """Another scanner's look: its tone, by default a random one, thicker slices or softer kernel at times, noise.

    Part of the noise is alike over some mm: in even kidneys of a noisy CT nothing else tells a blotch from a tumour.
    """
    low, high = HU_WINDOW
    out = (tone or Tone.draw(rng)).of(hu)
    if rng.random() < 0.3:
        thick = rng.uniform(0.0, 5.0) / cell_mm * 0.4
        soft = rng.uniform(0.0, 1.2) / cell_mm
        out = ndimage.gaussian_filter(out, (soft, soft, thick), mode="nearest", truncate=2.5)
    if rng.random() < 0.6:
        sd = rng.uniform(0, 30) * min(1.0, (1.5 / cell_mm) ** 1.5)
        out = out + rng.standard_normal(out.shape, dtype=np.float32) * np.float32(sd)
    if rng.random() < 0.5:
        out = out + streaky_noise(out.shape, cell_mm, rng) * np.float32(rng.uniform(0, _STREAK_HU))
    out[hu <= low + 1] = low  # air stays air
    return np.asarray(np.clip(out, low, high), np.float32)


def streaky_noise(shape: tuple[int, ...], cell_mm: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of SD 1, alike over some mm, farthest from side to side (first axis): there the body absorbs most.

    Args:
        shape: (X, Y, Z), in RAS+ order.
        cell_mm: edge of a cell.
        rng: draws over how many mm it is alike, and the noise.
    """
    sigma = rng.uniform(0, _STREAK_MM) / cell_mm
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="nearest", truncate=2.5)
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def random_field_of_view(
    shape: tuple[int, ...], rng: np.random.Generator, smallest: float = 0.5, most_cells: float = np.inf
) -> tuple[slice, ...]:
    """A box that a smaller field of view would have shown: at least `smallest` of each axis, placed at random.

    A box of more than `most_cells` is made smaller still, all its sides alike.
    """
    sides = np.array([size * rng.uniform(smallest, 1.0) for size in shape])
    sides *= min(1.0, (most_cells / sides.prod()) ** (1 / 3))
    box = []
    for size, side in zip(shape, sides, strict=True):
        keep = min(size, max(8, round(side)))
        start = int(rng.integers(0, size - keep + 1))
        box.append(slice(start, start + keep))
    return tuple(box)
