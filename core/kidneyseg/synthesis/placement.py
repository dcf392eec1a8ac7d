"""Where a lesion can sit on a kidney: on its surface, as deep as its model sat, and clear of bone and organs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import QhullError

from kidneyseg.arrays import HU, Doubles, Floats, Indices, Labels, Mask, Rng, bounding_box
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.synthesis.lesion_shapes import KidneyHull, LesionShape, ball_radius_mm, random_rotation

# A lesion with a larger share of itself in its surroundings has no room.
MAX_BLOCKED = 0.15
# A smaller kidney, or part of one, gets no lesion.
_MIN_KIDNEY_ML = 15.0

# A place with a smaller share is taken at once.
_HARDLY_BLOCKED = 0.04

# Centres (3,) in mm (index * spacing) and radii in mm of lesions to keep clear of.
Neighbours = tuple[tuple[Doubles, float], ...]


@dataclass(frozen=True, eq=False)
class Placement:
    """How lesion coordinates become the host's: host_mm = centre_mm + scale * rotation @ (lesion_mm - its centre).

    Host mm are voxel index times spacing, from the centre of the array's first voxel.
    """

    centre_mm: Doubles  #: (3,) where the lesion's centre comes to lie
    rotation: Doubles  #: (3, 3), possibly with a reflection
    scale: float  #: enlargement of the shape
    radius_mm: float  #: radius of the ball of the lesion's volume
    blocked: float  #: fraction of the lesion that lies in tissue it must not replace


@dataclass(frozen=True, eq=False)
class Host:
    """One kidney of a CT with its surroundings, on a coarse grid."""

    hull: KidneyHull  #: the kidney's hull, in host mm
    kidney: Mask  #: bool, the kidney on the coarse grid
    barrier: Floats  #: float32, 1 where a lesion must not grow (bone, organs, bowel, muscle, gas), 0 in kidney and fat
    start: Indices  #: voxel index of the coarse grid's first voxel
    step: Indices  #: edge of a coarse cell in voxels along each axis
    step_mm: Doubles  #: the same in mm
    volume_ml: float  #: the kidney's volume
    median_hu: float  #: the kidney's median HU

    def in_phase(self, hu: HU) -> Host:
        """This kidney in another contrast phase of the CT that it was found in: only its HU differ."""
        return replace(self, median_hu=float(np.median(self.hu_in(hu))))

    def hu_in(self, hu: HU) -> HU:
        """HU (N,) of the voxel in the middle of each of the kidney's coarse cells."""
        middle = np.argwhere(self.kidney) * self.step + self.start + self.step // 2
        return np.asarray(hu[tuple(middle.T)])

    def points_mm(self, cells: NDArray[np.integer]) -> Doubles:
        """Centres (N, 3) in host mm of coarse cells."""
        return np.asarray((cells * self.step + self.start + (self.step - 1) / 2.0) * self.step_mm / self.step)

    def coarse_index(self, points_mm: NDArray[np.floating]) -> NDArray[np.floating]:
        """Fractional coarse index (..., 3) of host points in mm."""
        first_mm = (self.start + (self.step - 1) / 2.0) * self.step_mm / self.step
        return np.asarray((points_mm - first_mm) / self.step_mm)


def find_hosts(hu: HU, labels: Labels, spacing: Doubles, organs: Labels | None = None) -> list[Host]:
    """The kidneys of a CT that a lesion can be put on: at most two.

    Args:
        hu: int16 (X, Y, Z), whole CT or a crop around a kidney.
        labels: uint8 (X, Y, Z): 1 kidney, 2 tumours already there.
        spacing: (3,) voxel edge lengths in mm.
        organs: uint8 (X, Y, Z), BTCV's organ numbers: a lesion grows into none of them but kidneys. None, or 0
            everywhere, leaves it to the HU what blocks a lesion.
    """
    # Coarse cells of 3 mm still show the fat between organs. A lesion may lie up to 45 mm from the kidney.
    step = np.maximum(1, np.floor(3.0 / spacing + 0.25)).astype(np.int64)
    box = bounding_box(labels, np.ceil(45.0 / spacing).astype(int))
    if box is None:
        return []
    start = np.array([side.start for side in box])
    kidney = block_mean(labels[box] > 0, step) >= 0.5
    bodies, count = ndimage.label(kidney)
    cell_ml = float((step * spacing).prod()) / 1000.0
    sizes = np.bincount(bodies.ravel(), minlength=count + 1)[1:] * cell_ml
    grey = block_mean(hu[box], step)
    other = _strided(organs[box], step, grey.shape) if organs is not None and organs.any() else None
    occupied = block_mean(labels[box] >= TUMOUR, step) > 0.25
    hosts = []
    for body in np.argsort(-sizes)[:2]:
        if sizes[body] < _MIN_KIDNEY_ML:
            continue
        one = bodies == body + 1
        points = (np.argwhere(one & ~ndimage.binary_erosion(one)) * step + start + (step - 1) / 2.0) * spacing
        try:
            hull = KidneyHull.of(points)
        except QhullError:
            continue
        host = Host(
            hull=hull,
            kidney=one,
            barrier=np.zeros(one.shape, np.float32),
            start=start,
            step=step,
            step_mm=step * spacing,
            volume_ml=float(sizes[body]),
            median_hu=float(np.median(grey[one])),
        )
        barrier = _barrier(host, grey, other) | (kidney & ~one) | occupied
        hosts.append(replace(host, barrier=barrier.astype(np.float32)))
    return hosts


def _barrier(host: Host, grey: Floats, organs: Labels | None) -> Mask:
    """Coarse cells outside the kidney that a lesion must not replace."""
    barrier = (grey > 200.0) | (grey < -121.0)  # bone and gas
    # Muscle, bowel and vessels; single coarse voxels of stranding in the fat do not stop a tumour.
    barrier |= ndimage.binary_opening(ndimage.gaussian_filter(grey, 0.5) > -15.0)
    if organs is not None:
        barrier |= (organs > 0) & (organs != 2) & (organs != 3)
    # Sinus fat, pelvis and hilar vessels lie within the hull: tumours do replace those.
    box = bounding_box(host.kidney)
    assert box is not None
    cells = np.argwhere(barrier[box]) + [side.start for side in box]
    within = host.hull.distance(host.points_mm(cells)) < -1.0
    barrier[tuple(cells[within].T)] = False
    return np.asarray(barrier & ~ndimage.binary_dilation(host.kidney))


def place(
    lesion: LesionShape, ml: float, host: Host, rng: Rng, *, avoid: Neighbours = (), at_hilum: bool = False
) -> Placement:
    """The best of several random places: near the model's height on its kidney, and as deep as the model sat.

    Args:
        ml: volume to give it.
        avoid: lesions already there.
        at_hilum: start where the surface lies deepest below the kidney's hull, rather than near the model's height.
    """
    where = np.argwhere(lesion.mask)
    centre = where.mean(axis=0)
    scale = (ml / lesion.ml) ** (1 / 3)
    sample = (where[rng.choice(len(where), 400)] - centre) * lesion.voxel_mm * scale
    radius = ball_radius_mm(ml)
    # A tumour that takes more than about half of a kidney leaves none to sit on.
    inside = min(lesion.inside * rng.uniform(0.85, 1.0), 0.5 * host.volume_ml / ml)
    candidates = []
    for site in _sites(lesion, host, rng, at_hilum=at_hilum):
        normal = host.hull.outward(site)
        rotation = _rotation_between(lesion.outward, normal, rng)
        placed = sample @ rotation.T + site
        depth = _depth_for(placed, normal, host.hull, inside, radius)
        blocked = _blocked(placed + depth * normal, host, avoid)
        candidates.append(Placement(site + depth * normal, rotation, scale, radius, blocked))
        if blocked < _HARDLY_BLOCKED:
            break
    return min(candidates, key=lambda one: one.blocked)


def _sites(lesion: LesionShape, host: Host, rng: Rng, *, at_hilum: bool) -> Doubles:
    """16 random points (16, 3) in mm of the kidney's surface, most of them at the model's height on the long axis."""
    rim = np.argwhere(host.kidney & ~ndimage.binary_erosion(host.kidney))
    points = host.points_mm(rim)
    height = host.hull.along(points)
    source = float(np.clip(lesion.along * rng.choice([-1, 1], p=[0.3, 0.7]), -0.95, 0.95))
    # The hilum lies below the hull: fewer lesions start there.
    sunk = np.clip(-host.hull.distance(points), 0.0, None)
    weight = np.exp(-0.5 * ((height - source) / 0.2) ** 2 - sunk / 3.0) + 1e-6
    if at_hilum:
        weight = np.exp(np.minimum(sunk, 12.0) / 1.5)
    return np.asarray(points[rng.choice(len(points), 16, p=weight / weight.sum())], dtype=np.float64)


def _depth_for(points: Doubles, normal: Doubles, hull: KidneyHull, inside: float, radius: float) -> float:
    """How far along the normal to move points so that `inside` of them lie in the hull."""
    equations = hull.equations
    distance = points.astype(np.float32) @ equations[:, :3].T + equations[:, 3]
    slope = equations[:, :3] @ normal.astype(np.float32)
    aim = float(np.clip(inside, 0.06, 0.97))
    low, high = -1.5 * radius - 4.0, 1.2 * radius
    for _ in range(9):
        middle = (low + high) / 2.0
        if ((distance + middle * slope).max(axis=1) < 0).mean() > aim:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _blocked(points: Doubles, host: Host, avoid: Neighbours) -> float:
    """Share of points in the barrier, beyond the array or in another lesion; 1 when it does not touch the kidney."""
    index = np.rint(host.coarse_index(points)).astype(int)
    beyond = ((index < 0) | (index >= host.kidney.shape)).any(axis=1)
    x, y, z = np.clip(index, 0, np.array(host.kidney.shape) - 1).T
    bad = beyond | (host.barrier[x, y, z] > 0.5)
    for centre, radius in avoid:
        bad |= np.linalg.norm(points - centre, axis=1) < radius + 2.0
    touches = host.kidney[x, y, z].mean() > 0.02
    return float(bad.mean()) if touches else 1.0


def _rotation_between(source: Doubles, target: Doubles, rng: Rng) -> Doubles:
    """A random rotation, every other time with a reflection, that turns `source` to `target` (within some 10°)."""
    tilted = target + rng.normal(0.0, 0.12, 3)
    first, second = _basis(source, rng), _basis(tilted / np.linalg.norm(tilted), rng)
    if rng.random() < 0.5:
        second[:, 1] *= -1.0
    return second @ first.T


def _basis(direction: Doubles, rng: Rng) -> Doubles:
    """Orthonormal columns, the first of them `direction`, the others at random."""
    other = random_rotation(rng)[0]
    second = other - (other @ direction) * direction
    second /= np.linalg.norm(second)
    return np.stack([direction, second, np.cross(direction, second)], axis=1)


def block_mean(array: NDArray[np.generic], step: Indices) -> Floats:
    """Means over blocks of `step` voxels; an incomplete last block is left out."""
    x, y, z = (size // int(by) for size, by in zip(array.shape, step, strict=True))
    a, b, c = (int(by) for by in step)
    total = np.zeros((x, y, z), dtype=np.float32)
    for i in range(a):
        for j in range(b):
            for k in range(c):
                total += array[i : x * a : a, j : y * b : b, k : z * c : c]
    return np.asarray(total / (a * b * c), dtype=np.float32)


def _strided(array: Labels, step: Indices, shape: tuple[int, ...]) -> Labels:
    """The middle voxel of every block."""
    return array[tuple(slice(int(by) // 2, None, int(by)) for by in step)][: shape[0], : shape[1], : shape[2]]
