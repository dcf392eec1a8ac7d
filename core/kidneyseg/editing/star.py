"""The border of an object around a point inside it, as one radius in each direction: a star-shaped surface."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from kidneyseg.arrays import Doubles

# About 5 degrees apart: 2 mm at a radius of 20 mm.
_DIRECTIONS = 642
_NEIGHBOURS = 6
# Nodes from pole to pole of the chart that surfaces are interpolated on.
_CHART = 60

# Rounds of `surface`, and over how many of them the surface stiffens.
_ROUNDS, _STIFFENING = 25, 15


class Rays:
    """Directions spread evenly over the sphere, with points every millimetre along them.

    Attributes:
        radii_mm: distances of the points, float64 (R,): 0, 1 ... mm.
    """

    def __init__(self, reach_mm: int) -> None:
        """Rays of this length."""
        self.radii_mm = np.arange(reach_mm + 1, dtype=np.float64)

    @cached_property
    def directions(self) -> Doubles:
        """Unit vectors on a Fibonacci spiral, float64 (D, 3)."""
        k = np.arange(_DIRECTIONS) + 0.5
        polar, turn = np.arccos(1 - 2 * k / _DIRECTIONS), np.pi * (1 + 5**0.5) * k
        return np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)

    @cached_property
    def offsets_mm(self) -> Doubles:
        """The points, from the centre, float64 (R, D, 3)."""
        return np.asarray(self.radii_mm[:, None, None] * self.directions)

    def surface(self, cost: Doubles, stiffness: float) -> Doubles:
        """A smooth surface of low cost, found by iterated conditional modes.

        It starts from the best sphere and stiffens slowly. As it moves little by little it stays near that sphere
        where the cost says little, which suits a click in the middle of a round object.

        Args:
            cost: of a border at each point, float64 (R, D).
            stiffness: cost of a radius that is 1 mm from the mean of the neighbouring radii; grows with the square.

        Returns:
            Radius in mm in each direction, float64 (D,).
        """
        radius = np.full(cost.shape[1], self.radii_mm[cost.sum(axis=1).argmin()])
        energy = np.empty_like(cost)
        for k in range(_ROUNDS):
            np.subtract(self.radii_mm[:, None], radius[self._neighbours].mean(axis=1), out=energy)
            np.square(energy, out=energy)
            energy *= stiffness * min(1.0, 0.15 + k / _STIFFENING)
            energy += cost
            best = self.radii_mm[energy.argmin(axis=0)]
            # Only every other radius moves at a time: neighbours that move together may swing to and fro.
            moves = (np.arange(len(radius)) + k) % 2 == 0
            radius = best if k == _ROUNDS - 1 else np.where(moves, best, radius)
        return np.asarray((radius + radius[self._neighbours].mean(axis=1)) / 2)

    def depth_mm(self, radius: Doubles, offsets_mm: Doubles, most_mm: float) -> Doubles:
        """How deep points (..., 3) from the centre lie inside a surface, along their ray: float64 (...).

        Points outside have a negative depth. Depths are clipped to -most_mm ... most_mm.
        """
        distance: Doubles = np.linalg.norm(offsets_mm, axis=-1, keepdims=True)[..., 0]
        depth = np.where(distance < radius.mean(), most_mm, -most_mm).astype(np.float64)
        unsure = (distance > radius.min() - most_mm) & (distance < radius.max() + most_mm)
        x, y, z = offsets_mm[unsure].T
        polar = np.arccos(np.clip(z / np.maximum(distance[unsure], 1e-6), -1, 1)) / np.pi * _CHART
        turn = (np.arctan2(y, x) / np.pi + 1) * _CHART
        nearest, weight = self._chart
        chart = (radius[nearest] * weight).sum(axis=-1)
        towards = ndimage.map_coordinates(chart, [polar, turn], order=1, mode="nearest")
        depth[unsure] = (towards - distance[unsure]).clip(-most_mm, most_mm)
        return depth

    @cached_property
    def _chart(self) -> tuple[NDArray[np.intp], Doubles]:
        """The three directions nearest to each node of a chart by polar and azimuthal angle, and their weights."""
        polar, turn = np.arange(_CHART + 1) * np.pi / _CHART, (np.arange(2 * _CHART + 1) / _CHART - 1) * np.pi
        polar, turn = np.meshgrid(polar, turn, indexing="ij")
        nodes = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=-1)
        apart, nearest = self._tree.query(nodes, k=3)
        weight: Doubles = 1 / (np.asarray(apart) + 0.02)
        return np.asarray(nearest, np.intp), weight / weight.sum(axis=-1, keepdims=True)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.directions)

    @cached_property
    def _neighbours(self) -> NDArray[np.intp]:
        return np.asarray(self._tree.query(self.directions, k=_NEIGHBOURS + 1)[1], np.intp)[:, 1:]
