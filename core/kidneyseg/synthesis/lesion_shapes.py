"""Shapes of kidney lesions, cut out of label maps or procedural, each with its pose on the kidney it grew on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial

from kidneyseg.arrays import Doubles, Floats, Labels, Mask, Rng, Spacing, bounding_box
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.synthesis.texture import gaussian_random_field

Kind = Literal["tumour", "cyst"]

_CYST = 3  # in KiTS' label maps; elsewhere cysts count as kidney


def ball_radius_mm(ml: float) -> float:
    """Radius in mm of the ball of a volume in mL."""
    return float((750.0 * ml / np.pi) ** (1 / 3))


@dataclass(frozen=True, eq=False)
class LesionShape:
    """One lesion's shape and how it sat on its kidney. Axes are right, anterior, superior, in mm."""

    kind: Kind  #: "tumour" or "cyst"
    case: int  #: number of the case it was cut from; -1 for a procedural shape
    mask: Mask = field(repr=False)  #: bool (A, B, C), isotropic, with a margin of at least two empty voxels
    voxel_mm: float  #: edge length of the mask's voxels
    outward: Doubles  #: (3,) unit vector, normal of the kidney's surface at the lesion, pointing out of the kidney
    inside: float  #: fraction of the lesion within the convex hull of its kidney (1 = endophytic, 0 = exophytic)
    along: float  #: where the lesion sits on the kidney's long axis, -1 lower pole ... 1 upper pole.

    @cached_property
    def ml(self) -> float:
        """Volume in millilitres."""
        return float(np.count_nonzero(self.mask)) * self.voxel_mm**3 / 1000.0


@dataclass(frozen=True, eq=False)
class KidneyHull:
    """The convex hull of one kidney, in mm, with its long axis."""

    equations: Floats  #: (F, 4) float32, unit normal and offset of each facet: negative inside
    centre: Doubles  #: (3,) mean of the kidney's voxels
    axis: Doubles  #: (3,) unit vector along the kidney, pointing up
    half_length: float  #: half of the kidney's extent along `axis`

    @classmethod
    def of(cls, points_mm: NDArray[np.floating]) -> KidneyHull:
        """The hull of a kidney given as points (N, 3). Raises scipy's QhullError unless they span three dimensions."""
        points = np.asarray(points_mm, dtype=np.float64)
        hull = spatial.ConvexHull(points)
        # Triangulated facets of one plane repeat its equation: without repeats the distance search is much faster.
        equations = np.unique(hull.equations.astype(np.float32).round(4), axis=0)
        centre = points.mean(axis=0)
        _, vectors = np.linalg.eigh(np.cov((points - centre).T))
        axis = vectors[:, -1] * (1.0 if vectors[2, -1] >= 0 else -1.0)
        along = (points - centre) @ axis
        return cls(equations, centre, axis, float(np.ptp(along)) / 2.0)

    def distance(self, points_mm: NDArray[np.floating]) -> Floats:
        """Signed distance of points (N, 3) to the hull in mm: negative inside, a lower bound outside."""
        points = np.asarray(points_mm, dtype=np.float32)
        if not len(points):
            return np.zeros(0, dtype=np.float32)
        rows = [
            (chunk @ self.equations[:, :3].T + self.equations[:, 3]).max(axis=1)
            for chunk in np.array_split(points, len(points) // 20_000 + 1)
        ]
        return np.concatenate(rows)

    def outward(self, point_mm: NDArray[np.floating]) -> Doubles:
        """Unit normal of the surface near a point: the mean of the facets' normals, weighted by their distance."""
        near = self.equations[:, :3] @ np.asarray(point_mm, dtype=np.float32) + self.equations[:, 3]
        weight = np.exp((near - near.max()) / 2.0)
        normal = (weight[:, None] * self.equations[:, :3]).sum(axis=0).astype(np.float64)
        return np.asarray(normal / np.linalg.norm(normal))

    def along(self, point_mm: NDArray[np.floating]) -> Doubles:
        """Position of points (..., 3) on the long axis: -1 lower pole ... 1 upper pole, and beyond."""
        return np.asarray((np.asarray(point_mm) - self.centre) @ self.axis / self.half_length)


def cut_lesions(
    labels: Labels,
    spacing_mm: Spacing,
    case: int,
    *,
    min_tumour_ml: float = 0.2,
    min_cyst_ml: float = 0.15,
    min_kidney_ml: float = 15.0,
) -> list[LesionShape]:
    """Every tumour and cyst of one label map.

    Args:
        labels: uint8 (X, Y, Z) in RAS order: 0 background, 1 kidney, 2 tumour, 3 cyst.
        case: number to store with the shapes.
        min_tumour_ml: volume from which a tumour is taken.
        min_cyst_ml: volume from which a cyst is taken.
        min_kidney_ml: volume of kidney tissue that must be left beside the lesion.
    """
    spacing = np.asarray(spacing_mm)
    bodies, count = ndimage.label(labels > 0)
    lesions: list[LesionShape] = []
    for body, box in zip(range(1, count + 1), ndimage.find_objects(bodies), strict=True):
        part = np.where(bodies[box] == body, labels[box], 0)
        kidney = part == KIDNEY
        if kidney.sum() * spacing.prod() < 1000.0 * min_kidney_ml:
            continue
        rim = np.argwhere(kidney & ~ndimage.binary_erosion(kidney))
        hull = KidneyHull.of(rim * spacing)
        lesions += _cut_kind(part == TUMOUR, spacing, hull, "tumour", case, min_tumour_ml)
        lesions += _cut_kind(part == _CYST, spacing, hull, "cyst", case, min_cyst_ml)
    return lesions


def _cut_kind(
    mask: Mask, spacing: Doubles, hull: KidneyHull, kind: Kind, case: int, min_ml: float
) -> list[LesionShape]:
    components, count = ndimage.label(mask)
    found = []
    for number, box in zip(range(1, count + 1), ndimage.find_objects(components), strict=True):
        part = components[box] == number
        if part.sum() * spacing.prod() < 1000.0 * min_ml:
            continue
        points = (np.argwhere(part) + [side.start for side in box]) * spacing
        centre = points.mean(axis=0)
        inside = float((hull.distance(points[:: len(points) // 2000 + 1]) < 0).mean())
        shape, voxel_mm = _isotropic(part, spacing)
        found.append(LesionShape(kind, case, shape, voxel_mm, hull.outward(centre), inside, float(hull.along(centre))))
    return found


def _isotropic(part: Mask, spacing: Doubles) -> tuple[Mask, float]:
    """A mask on an isotropic grid of 1-1.5 mm: its distance map is interpolated, so 5 mm slices leave no stairs."""
    padded = np.pad(part, 3)
    distance = ndimage.distance_transform_edt(padded, sampling=spacing)
    distance -= ndimage.distance_transform_edt(~padded, sampling=spacing)
    diameter = 2.0 * (0.75 / np.pi * part.sum() * spacing.prod()) ** (1 / 3)
    voxel_mm = float(np.clip(diameter / 48.0, 1.0, 1.5))
    step = voxel_mm / spacing
    size = np.ceil((np.asarray(padded.shape) - 1) / step).astype(int) + 1
    fine = ndimage.affine_transform(distance, step, output_shape=tuple(size), order=1, mode="nearest")
    # In lesions one voxel wide the interpolated distance may never rise above 0.
    return _cropped(fine > min(0.0, float(fine.max()) - 1e-3)), voxel_mm


def _cropped(mask: Mask) -> Mask:
    """The part of a mask that holds its true voxels, with two empty voxels on every side."""
    return np.pad(mask[bounding_box(mask)], 2)


def procedural_lesion(rng: Rng, kind: Kind = "tumour") -> LesionShape:
    """A lesion without a model: an ellipsoid with bumps on its surface and a random pose; its case is -1.

    Cysts are rounder and smoother than tumours.
    """
    median, spread, bumps = (14.0, 1.3, 0.16) if kind == "tumour" else (1.5, 1.4, 0.05)
    ml = float(np.clip(median * np.exp(rng.normal(0.0, spread)), 0.3, 250.0))
    radius = ball_radius_mm(ml)
    voxel_mm = float(np.clip(radius / 24.0, 1.0, 1.5))
    half = int(np.ceil(1.5 * radius / voxel_mm))
    line = (np.arange(-half, half + 1) * voxel_mm).astype(np.float32)
    axes = np.exp(rng.normal(0.0, 0.12, 3))
    axes *= radius / axes.prod() ** (1 / 3)
    stretch = (random_rotation(rng) / axes).astype(np.float32)
    along = [line[:, None, None] * x + line[:, None] * y + line * z for x, y, z in stretch.T]
    reach = np.sqrt(sum(np.square(part) for part in along))
    mask = reach + bumps * gaussian_random_field(reach.shape, 0.35 * radius, np.full(3, voxel_mm), rng) < 1.0
    components, _ = ndimage.label(mask)
    mask = components == components[half, half, half] if mask[half, half, half] else mask
    outward = random_rotation(rng)[0]
    inside = float(rng.beta(1.6, 1.4))
    return LesionShape(kind, -1, _cropped(mask), voxel_mm, outward, inside, float(rng.uniform(-0.9, 0.9)))


def random_rotation(rng: Rng) -> Doubles:
    """A rotation matrix (3, 3), uniform over all rotations."""
    matrix, triangle = np.linalg.qr(rng.standard_normal((3, 3)))
    matrix = matrix * np.sign(np.diag(triangle))
    return np.asarray(matrix if np.linalg.det(matrix) > 0 else -matrix)
