"""The border of an object around a point inside it, as one radius in each direction: a star-shaped surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from kidneyseg.arrays import Doubles, Floats

_DIRECTIONS = 642
_NEIGHBOURS = 6
_STEP_MM = 1.0


@dataclass(frozen=True)
class Rays:
    """Directions spread evenly over the sphere, and distances along them.

    Attributes:
        reach_mm: largest distance.
    """

    reach_mm: float

    @cached_property
    def directions(self) -> Doubles:
        """Unit vectors, float64 (D, 3), on a Fibonacci spiral."""
        k = np.arange(_DIRECTIONS) + 0.5
        polar, turn = np.arccos(1 - 2 * k / _DIRECTIONS), np.pi * (1 + 5**0.5) * k
        return np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)

    @cached_property
    def radii_mm(self) -> Doubles:
        """Distances, float64 (R,), from 0 on."""
        return np.arange(int(self.reach_mm / _STEP_MM) + 1) * _STEP_MM

    @cached_property
    def offsets_mm(self) -> Doubles:
        """All points of the rays, float64 (R, D, 3)."""
        return self.radii_mm[:, None, None] * self.directions

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.directions)

    @cached_property
    def neighbours(self) -> NDArray[np.intp]:
        """The nearest other directions of each, (D, 6)."""
        nearest: NDArray[np.intp] = self._tree.query(self.directions, k=_NEIGHBOURS + 1)[1]
        return nearest[:, 1:]

    def surface(self, cost: Doubles, stiffness: float, rounds: int = 25) -> Doubles:
        """The smooth surface of about least cost: its radius in mm in each direction, float64 (D,).

        Args:
            cost: (R, D), of a border at each distance in each direction.
            stiffness: cost of a deviation by 1 mm from the mean of the neighbouring radii, squared.
            rounds: iterated conditional modes, which start from the best sphere and stiffen slowly.
        """
        radius = np.full(cost.shape[1], self.radii_mm[cost.sum(axis=1).argmin()])
        squares = np.empty_like(cost)
        for k in range(rounds):
            own = stiffness * min(1.0, 0.15 + k / 15)
            np.subtract(self.radii_mm[:, None], radius[self.neighbours].mean(axis=1), out=squares)
            np.square(squares, out=squares)
            squares *= own
            squares += cost
            best = self.radii_mm[squares.argmin(axis=0)]
            turn = (np.arange(len(radius)) + k) % 2 == 0  # neighbours that move at once would swing
            radius = best if k == rounds - 1 else np.where(turn, best, radius)
        smooth: Doubles = (radius + radius[self.neighbours].mean(axis=1)) / 2
        return smooth

    def radius_towards(self, radius: Doubles, offsets_mm: Floats) -> Floats:
        """A surface's radius in the directions of points (N, 3), interpolated: float (N,)."""
        length = np.linalg.norm(offsets_mm, axis=1, keepdims=True)
        apart, nearest = self._tree.query(offsets_mm / np.maximum(length, 1e-6), k=3)
        weight = 1 / (apart + 0.02)
        towards: Floats = (radius[nearest] * weight).sum(axis=1) / weight.sum(axis=1)
        return towards
