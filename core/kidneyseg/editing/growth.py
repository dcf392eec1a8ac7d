"""Grow objects around clicks: what lies inside is told by HU and base labels, its shape by star-shaped surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kidneyseg.arrays import Doubles, Floats
from kidneyseg.editing.random_walk import random_walk
from kidneyseg.editing.star import Rays
from kidneyseg.editing.surroundings import BIN_HU, Scene, bin_of, density
from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR

# No voxel farther than this from every click changes.
REACH_MM = 20.0

# The constants below were chosen by simulated clicks on inserted tumours (docs/results.md, "Click to fix").

# Clicks of one label closer than this belong to one object. Its centre moves half the way to its centre of mass each
# round, by at most so many mm from the middle of its clicks.
_LINK_MM, _MOVED, _FARTHEST_MM = 30.0, 0.5, 10.0
_ROUNDS = 4

# HU of an object: at first a bell around the median within 7 mm of its clicks, as wide as three robust SD or 45 HU;
# then mostly the HU inside the latest surface. Kidney is rather like what is labelled kidney already.
_NEAR_MM, _SPREADS, _LEAST_SD = 7.0, 3.0, 45.0
_INSIDE_SHARE, _KIDNEY_SHARE = 0.65, 0.8

# What speaks for "inside", as log odds: the base label at the clicks, another one, and the label of a wrong piece
# that is relabelled as one. HU and label together count at most 1 on a ray and 3 on a cell.
_SAME_LABEL, _OTHER_LABEL, _WRONG_PIECE = -0.2, -1.5, 2.0
_MOST_ON_RAY, _MOST_ON_CELL = 1.0, 3.0
_EVIDENCE = 0.4

# Clicks speak for or against the cells within some mm; a ray that passes a click closer than 1.5 mm is bound by it.
_CLICK, _CLICK_MM, _BOUND_MM = 4.0, 4.0, 1.5

# The surface: reward of an edge, at its highest from 12 HU/mm on; of size; cost below 5 mm; stiffness.
_EDGE, _EDGE_HU_MM = 8.0, 12.0
_GROWTH, _GROWTH_MM, _SMALL_MM = 4.0, 3.0, 5.0
_STIFFNESS = 2.5
_FORBIDDEN = 1e3
# How far a surface may run beyond the reach, where nothing changes: it would else bend along the reach's border.
_BEYOND_MM = 14.0

# Depth inside a surface that speaks for a cell as much as log odds of 1; it counts 3 at most.
_DEPTH_MM, _MOST_DEPTH = 2.0, 3.0

# Long enough for two clicks as far apart as they may be linked, and for what is beyond the reach.
_RAYS = Rays(36)


@dataclass(frozen=True, eq=False)
class Seed:
    """A point (3,) in mm with its label, and the label there before the clicks."""

    at_mm: Doubles
    label: int
    was: int


@dataclass(eq=False)
class GrownObject:
    """An object of seeds of one label that are close to each other."""

    seeds: list[Seed]  #: its own
    centre: Doubles  #: of its surface, in mm
    radius: Doubles = field(default_factory=lambda: np.zeros(0))  #: of its surface in each direction, in mm
    inside: Doubles = field(default_factory=lambda: np.zeros(0))  #: density of its HU

    @property
    def label(self) -> int:
        """Of its seeds."""
        return self.seeds[0].label

    @property
    def was(self) -> list[int]:
        """The labels before the clicks at its seeds."""
        return sorted({seed.was for seed in self.seeds})

    def log_odds(self, scene: Scene, hu_bins: NDArray[np.intp], base: NDArray[np.uint8]) -> Doubles:
        """How much HU and base label of points speak for "inside"."""
        offset = np.full(CYST + 1, _OTHER_LABEL)
        # Kidney and "not that" relabel a piece that the mask has wrong; tumours and cysts may be part of one.
        offset[self.was] = _WRONG_PIECE if self.label < TUMOUR and self.was != [TISSUE] else _SAME_LABEL
        ratio = np.log(self.inside)[hu_bins] - np.log(scene.around)[base, hu_bins]
        return np.asarray(ratio + offset[base])

    def distance_mm(self, points_mm: Doubles) -> Doubles:
        """Of points (..., 3) from the nearest of its seeds."""
        nearest: Doubles = np.min([_distance(points_mm, seed.at_mm) for seed in self.seeds], axis=0)
        return nearest


def grown_objects(scene: Scene, seeds: Sequence[Seed]) -> list[GrownObject]:
    """The objects of all seeds where the label has to change; the other seeds only bound them."""
    objects: list[GrownObject] = []
    for seed in seeds:
        if seed.was == seed.label:
            continue
        linked = [o for o in objects if o.label == seed.label and o.distance_mm(seed.at_mm) < _LINK_MM]
        objects = [o for o in objects if o not in linked]
        own = [*(other for o in linked for other in o.seeds), seed]
        objects.append(GrownObject(own, np.mean([one.at_mm for one in own], axis=0)))
    for grown in objects:
        _grow(scene, grown, seeds)
    return objects


def membership(scene: Scene, objects: Sequence[GrownObject], seeds: Sequence[Seed]) -> Floats:
    """The probability that a cell belongs to objects, all of one label: float32 (X, Y, Z)."""
    axes = [scene.cells.axis_centres_mm(axis) for axis in range(3)]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    deepest = _DEPTH_MM * _MOST_DEPTH
    depth = np.max([_RAYS.depth_mm(o.radius, centres - o.centre, deepest) for o in objects], axis=0)
    odds = np.max([o.log_odds(scene, scene.bins, scene.base) for o in objects], axis=0)
    odds = odds.clip(-_MOST_ON_CELL, _MOST_ON_CELL) + np.clip(depth / _DEPTH_MM, -_MOST_DEPTH, _MOST_DEPTH)
    known = [(scene.cell_of(seed.at_mm), seed.label == objects[0].label) for seed in seeds]
    return random_walk(1 / (1 + np.exp(-odds)), scene.sharp_hu, known)


def _grow(scene: Scene, grown: GrownObject, seeds: Sequence[Seed]) -> None:
    """Fit surface, HU and centre in turns."""
    near = np.mean([_hu_near(scene, seed) for seed in grown.seeds], axis=0)
    if grown.label == KIDNEY:
        near = (1 - _KIDNEY_SHARE) * near + _KIDNEY_SHARE * scene.around[KIDNEY]
    grown.inside = near
    middle = grown.centre
    for k in range(_ROUNDS):
        points = grown.centre + _RAYS.offsets_mm[: _rows(grown)]
        at = scene.index_of(points)
        hu = ndimage.map_coordinates(scene.hu, at, order=1, mode="nearest")
        allowed = grown.distance_mm(points) <= REACH_MM
        grown.radius = _RAYS.surface(_cost(scene, grown, seeds, points, hu, allowed), _STIFFNESS)
        if k == _ROUNDS - 1:
            return
        radii = _RAYS.radii_mm[: len(points), None]
        within = (radii <= grown.radius) & allowed
        volume = np.broadcast_to(radii**2, within.shape)[within]
        now = density(np.bincount(bin_of(hu[within]), volume, len(BIN_HU)))
        grown.inside = _INSIDE_SHARE * now + (1 - _INSIDE_SHARE) * near
        mass = (_RAYS.directions * grown.radius[:, None] ** 4).sum(axis=0) / 4 / (grown.radius**3).sum() * 3
        moved = grown.centre + _MOVED * mass - middle
        grown.centre = middle + moved * min(1.0, _FARTHEST_MM / max(float(np.linalg.norm(moved)), 1e-9))


def _hu_near(scene: Scene, seed: Seed) -> Doubles:
    """Density of the HU around a seed."""
    inner = _RAYS.radii_mm <= _NEAR_MM
    at = scene.index_of(seed.at_mm + _RAYS.offsets_mm[inner])
    hu = ndimage.map_coordinates(scene.hu, at, order=1, mode="nearest").ravel()
    volume = np.repeat(_RAYS.radii_mm[inner] ** 2 + 0.2, len(_RAYS.directions))
    level = _median(hu, volume)
    sd = max(_SPREADS * 1.4826 * _median(np.abs(hu - level), volume), _LEAST_SD)
    return density(np.exp(-0.5 * ((BIN_HU - level) / sd) ** 2))


def _cost(
    scene: Scene,
    grown: GrownObject,
    seeds: Sequence[Seed],
    points: Doubles,
    hu: Floats,
    allowed: NDArray[np.bool_],
) -> Doubles:
    """Cost of a border at each point of the rays (R, D).

    Args:
        scene: the cells.
        grown: the object.
        seeds: of all clicks.
        points: the first points of the rays, (N, D, 3) in mm; beyond them nothing can change.
        hu: at these points.
        allowed: which of them may change.
    """
    radii = _RAYS.radii_mm[: len(points), None]
    at = scene.index_of(points)
    base = ndimage.map_coordinates(scene.base, at, order=0, mode="nearest")
    odds = grown.log_odds(scene, bin_of(hu), base)
    if scene.log_odds is not None and grown.label < len(scene.log_odds):
        # Only for: where the networks are sure of something else they may be wrong.
        odds += _EVIDENCE * (3 + ndimage.map_coordinates(scene.log_odds[grown.label], at, order=0, mode="nearest"))
    odds = np.where(allowed, odds.clip(-_MOST_ON_RAY, _MOST_ON_RAY), 0)
    least = np.zeros(hu.shape[1])
    most = np.where(allowed, radii, 0).max(axis=0) + _BEYOND_MM
    for seed in seeds:
        away = _distance(points, seed.at_mm)
        passed, where = away.min(axis=0) < _BOUND_MM, radii[away.argmin(axis=0), 0]
        weight = _CLICK * np.exp(-0.5 * (away / _CLICK_MM) ** 2)
        if seed.label == grown.label:
            odds += weight
            least[passed] = np.maximum(least, where)[passed]
        else:
            odds -= weight
            most[passed] = np.minimum(most, where - _BOUND_MM)[passed]
    edge = np.abs(np.gradient(hu, axis=0)) / _EDGE_HU_MM
    cost = -np.cumsum(odds, axis=0)
    beyond = np.broadcast_to(cost[-1], (len(_RAYS.radii_mm) - len(points), cost.shape[1]))
    cost = np.concatenate([cost - _EDGE * np.where(allowed, edge.clip(0, 1), 0), beyond])
    radii = _RAYS.radii_mm[:, None]
    cost += (_SMALL_MM - radii).clip(0) - _GROWTH * np.log1p(radii / _GROWTH_MM)
    most = most.clip(2)
    cost[(radii < np.minimum(least, most)) | (radii > most)] = _FORBIDDEN
    cost[:2] += _FORBIDDEN
    return np.asarray(cost)


def _rows(grown: GrownObject) -> int:
    """How many points of each ray can be within reach of the object's clicks."""
    return int(REACH_MM + max(_distance(seed.at_mm, grown.centre) for seed in grown.seeds)) + 2


def _distance(points_mm: Doubles, other_mm: Doubles) -> Doubles:
    """Between points (..., 3) and one (3,)."""
    x, y, z = np.moveaxis(points_mm - other_mm, -1, 0)
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def _median(values: Floats, weights: Doubles) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
