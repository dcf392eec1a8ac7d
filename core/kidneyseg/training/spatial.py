"""Spatial augmentation: random affine transforms, random fields of view, and resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kidneyseg.arrays import Doubles, Floats, Labels, Range, Rng


@dataclass(frozen=True)
class Affine:
    """A random affine transform."""

    rotation_deg: tuple[float, float, float]  #: largest rotation about x, y, z, in degrees
    scale: Range  #: range of the overall scale
    stretch: float  #: largest logarithm of the additional scale of each axis
    flip_probability: float  #: of a left-right flip

    def draw(self, rng: Rng) -> Doubles:
        """A random (3, 3) matrix from output to input directions."""
        matrix = np.eye(3)
        for axis, limit in enumerate(self.rotation_deg):
            angle = np.deg2rad(rng.uniform(-limit, limit))
            a, b = [i for i in range(3) if i != axis]
            turn = np.eye(3)
            turn[a, a] = turn[b, b] = np.cos(angle)
            turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
            matrix = matrix @ turn
        size = np.exp(rng.uniform(*np.log(self.scale)))
        stretch = np.exp(rng.uniform(-self.stretch, self.stretch, 3))
        matrix = matrix @ np.diag(1.0 / (size * stretch))
        if rng.random() < self.flip_probability:
            matrix[0] *= -1
        return matrix


@dataclass(frozen=True)
class FieldOfView:
    """A random smaller field of view."""

    probability: float  #: of a smaller field of view; with 1 nothing is drawn for it
    min_share: float  #: smallest share of each axis that is kept
    max_cells: float  #: a larger box is made smaller still, all its sides alike; inf sets no limit
    slab_probability: float = 0.0  #: of a slab: few slices, as wide as the image
    slab_share: Range = (0.1, 0.4)  #: range of the share of the slices that a slab has

    def draw(self, shape: tuple[int, ...], rng: Rng) -> tuple[slice, ...]:
        """A random box of an array of `shape`, slices last; the whole array where nothing is left out."""
        if self.slab_probability > 0 and rng.random() < self.slab_probability:
            sides = np.array(shape) * (1.0, 1.0, rng.uniform(*self.slab_share))
        elif self.probability < 1 and rng.random() >= self.probability:
            return tuple(slice(0, size) for size in shape)
        else:
            sides = np.array([size * rng.uniform(self.min_share, 1.0) for size in shape])
        sides *= min(1.0, (self.max_cells / sides.prod()) ** (1 / 3))
        box = []
        for size, side in zip(shape, sides, strict=True):
            keep = min(size, max(8, round(side)))
            start = int(rng.integers(0, size - keep + 1))
            box.append(slice(start, start + keep))
        return tuple(box)


def warp(
    hu: NDArray[np.floating | np.int16],
    labels: Labels,
    matrix: Doubles,
    *,
    outside_hu: float,
    box: tuple[slice, ...] | None = None,
) -> tuple[Floats, Labels]:
    """Resample HU (linear) and labels (nearest), both (X, Y, Z) of cubic cells, about their centre by `matrix`.

    With `box` only that part of the result is computed, at a cost in proportion to its size.
    """
    box = tuple(slice(0, n) for n in hu.shape) if box is None else box
    grid = sampling_grid(box, np.array(hu.shape) / 2, matrix, np.array(hu.shape) / 2, hu.shape)
    return warp_into(hu, labels, grid, outside_hu=outside_hu)


def warp_into(
    hu: NDArray[np.floating | np.int16], labels: Labels, grid: torch.Tensor, *, outside_hu: float
) -> tuple[Floats, Labels]:
    """HU (linear) and labels (nearest), both (X, Y, Z), at the points of a `sampling_grid`."""
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
    """The points at which torch's grid_sample samples for the cells of `box`: float32 (1, X, Y, Z, 3).

    Args:
        box: output cells; cell i covers i...i + 1.
        centre: the fixed point of `matrix`, in output cells.
        matrix: (3, 3), output cells to source cells.
        source_centre: the same point in source cells.
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


def sample_linear(field: Floats, grid: torch.Tensor) -> Floats:
    """`field` (X, Y, Z) interpolated at a `sampling_grid`; 0 beyond it."""
    image = torch.from_numpy(field)[None, None]
    moved = torch.nn.functional.grid_sample(image, grid, mode="bilinear", align_corners=False)[0, 0]
    return np.asarray(moved.numpy(), np.float32)
