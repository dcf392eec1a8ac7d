"""Shapes of kidney lesions, cut out of label maps or made up, each with its pose on the kidney it grew on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial

Kind = Literal["tumour", "cyst"]

TUMOUR_LABEL, CYST_LABEL = 2, 3
_SMALLEST_ML = {"tumour": 0.2, "cyst": 0.15}
_SMALLEST_KIDNEY_ML = 15.0


@dataclass(frozen=True, eq=False)
class Lesion:
    """One lesion's shape and how it sat on its kidney. Axes are right, anterior, superior, in mm.

    Attributes:
        kind: "tumour" or "cyst".
        case: number of the case it was cut from; -1 for a made-up shape.
        mask: bool (A, B, C), isotropic, with a margin of at least two empty voxels.
        voxel_mm: edge length of the mask's voxels.
        outward: (3,) unit vector, normal of the kidney's surface at the lesion, pointing out of the kidney.
        inside: fraction of the lesion within the convex hull of its kidney (1 = endophytic, 0 = exophytic).
        along: where the lesion sits on the kidney's long axis, -1 lower pole ... 1 upper pole.
    """

    kind: Kind
    case: int
    mask: NDArray[np.bool_] = field(repr=False)
    voxel_mm: float
    outward: NDArray[np.float64]
    inside: float
    along: float

    @cached_property
    def ml(self) -> float:
        """Volume in millilitres."""
        return float(np.count_nonzero(self.mask)) * self.voxel_mm**3 / 1000.0


@dataclass(frozen=True, eq=False)
class KidneyFrame:
    """The convex hull of one kidney, in mm: where its surface is, which way is out, which way it is long.

    Attributes:
        equations: (F, 4) float32, unit normal and offset of each hull facet: negative inside.
        centre: (3,) mean of the kidney's voxels.
        axis: (3,) unit vector along the kidney, pointing up.
        half_length: half of the kidney's extent along `axis`.
    """

    equations: NDArray[np.float32]
    centre: NDArray[np.float64]
    axis: NDArray[np.float64]
    half_length: float

    @classmethod
    def of(cls, points_mm: NDArray[np.floating]) -> KidneyFrame:
        """The frame of a kidney given as points (N, 3); N >= 4 and not all in one plane, else scipy's QhullError."""
        points = np.asarray(points_mm, dtype=np.float64)
        hull = spatial.ConvexHull(points)
        # Triangulated facets of one plane repeat its equation: without repeats the distance search is much faster.
        equations = np.unique(hull.equations.astype(np.float32).round(4), axis=0)
        centre = points.mean(axis=0)
        _, vectors = np.linalg.eigh(np.cov((points - centre).T))
        axis = vectors[:, -1] * (1.0 if vectors[2, -1] >= 0 else -1.0)
        along = (points - centre) @ axis
        return cls(equations, centre, axis, float(np.ptp(along)) / 2.0)

    def distance(self, points_mm: NDArray[np.floating]) -> NDArray[np.float32]:
        """Signed distance of points (N, 3) to the hull in mm: negative inside, a lower bound outside."""
        points = np.asarray(points_mm, dtype=np.float32)
        if not len(points):
            return np.zeros(0, dtype=np.float32)
        rows = [
            (chunk @ self.equations[:, :3].T + self.equations[:, 3]).max(axis=1)
            for chunk in np.array_split(points, len(points) // 20_000 + 1)
        ]
        return np.concatenate(rows)

    def outward(self, point_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Unit normal of the surface near a point: facet normals averaged over a few mm, so that no facet decides."""
        near = self.equations[:, :3] @ np.asarray(point_mm, dtype=np.float32) + self.equations[:, 3]
        weight = np.exp((near - near.max()) / 2.0)
        normal = (weight[:, None] * self.equations[:, :3]).sum(axis=0).astype(np.float64)
        return np.asarray(normal / np.linalg.norm(normal))

    def along(self, point_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Position of points (..., 3) on the long axis: -1 lower pole ... 1 upper pole, and beyond."""
        return np.asarray((np.asarray(point_mm) - self.centre) @ self.axis / self.half_length)


def cut_lesions(labels: NDArray[np.uint8], spacing_mm: tuple[float, float, float], case: int) -> list[Lesion]:
    """Every tumour and cyst of one label map.

    Args:
        labels: uint8 (X, Y, Z) in RAS order: 0 background, 1 kidney, 2 tumour, 3 cyst.
        spacing_mm: voxel edge lengths.
        case: number to remember the shapes by.

    Returns:
        The lesions large enough to have a shape and sitting on a kidney that is still there.
    """
    spacing = np.asarray(spacing_mm)
    bodies, count = ndimage.label(labels > 0)
    lesions: list[Lesion] = []
    for body, box in zip(range(1, count + 1), ndimage.find_objects(bodies), strict=True):
        part = np.where(bodies[box] == body, labels[box], 0)
        kidney = part == 1
        if kidney.sum() * spacing.prod() < 1000.0 * _SMALLEST_KIDNEY_ML:
            continue
        rim = np.argwhere(kidney & ~ndimage.binary_erosion(kidney))
        frame = KidneyFrame.of(rim * spacing)
        lesions += _lesions_of_kind(part == TUMOUR_LABEL, spacing, frame, "tumour", case)
        lesions += _lesions_of_kind(part == CYST_LABEL, spacing, frame, "cyst", case)
    return lesions


def _lesions_of_kind(
    mask: NDArray[np.bool_], spacing: NDArray[np.float64], frame: KidneyFrame, kind: Kind, case: int
) -> list[Lesion]:
    components, count = ndimage.label(mask)
    found = []
    for number, box in zip(range(1, count + 1), ndimage.find_objects(components), strict=True):
        part = components[box] == number
        if part.sum() * spacing.prod() < 1000.0 * _SMALLEST_ML[kind]:
            continue
        points = (np.argwhere(part) + [side.start for side in box]) * spacing
        centre = points.mean(axis=0)
        inside = float((frame.distance(points[:: len(points) // 2000 + 1]) < 0).mean())
        shape, voxel_mm = _isotropic(part, spacing)
        found.append(Lesion(kind, case, shape, voxel_mm, frame.outward(centre), inside, float(frame.along(centre))))
    return found


def _isotropic(part: NDArray[np.bool_], spacing: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float]:
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
    mask = fine > min(0.0, float(fine.max()) - 1e-3)
    return crop_to_content(mask, margin=2), voxel_mm


def crop_to_content(mask: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """The part of a mask that holds its true voxels, with `margin` empty voxels on every side."""
    where = np.argwhere(mask)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    return np.pad(mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], margin)


def procedural_lesion(rng: np.random.Generator, kind: Kind = "tumour") -> Lesion:
    """A made-up lesion: an ellipsoid with bumps on its surface, on a made-up place of a kidney.

    Cysts are rounder and smoother than tumours. For users who have no lesion masks; `case` is -1.
    """
    median, spread, bumps = (14.0, 1.3, 0.16) if kind == "tumour" else (1.5, 1.4, 0.05)
    ml = float(np.clip(median * np.exp(rng.normal(0.0, spread)), 0.3, 250.0))
    radius = (750.0 * ml / np.pi) ** (1 / 3)
    voxel_mm = float(np.clip(radius / 24.0, 1.0, 1.5))
    half = int(np.ceil(1.5 * radius / voxel_mm))
    line = (np.arange(-half, half + 1) * voxel_mm).astype(np.float32)
    axes = np.exp(rng.normal(0.0, 0.12, 3))
    axes *= radius / axes.prod() ** (1 / 3)
    stretch = (random_rotation(rng) / axes).astype(np.float32)
    along = [line[:, None, None] * x + line[:, None] * y + line * z for x, y, z in stretch.T]
    reach = np.sqrt(sum(np.square(part) for part in along))
    lumps = correlated_noise(reach.shape, 0.35 * radius, np.full(3, voxel_mm), rng)
    mask = reach + bumps * lumps < 1.0
    components, _ = ndimage.label(mask)
    mask = components == components[half, half, half] if mask[half, half, half] else mask
    outward = random_rotation(rng)[0]
    inside = float(rng.beta(1.6, 1.4))
    return Lesion(kind, -1, crop_to_content(mask, 2), voxel_mm, outward, inside, float(rng.uniform(-0.9, 0.9)))


def correlated_noise(
    shape: tuple[int, ...], scale_mm: float, spacing: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Noise of mean 0 and SD 1 that is correlated over about `scale_mm` (the Gaussian's standard deviation).

    Made on a grid of about that scale and interpolated: the cost does not grow with the scale.
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


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation matrix (3, 3), uniform over all rotations."""
    matrix, triangle = np.linalg.qr(rng.standard_normal((3, 3)))
    matrix = matrix * np.sign(np.diag(triangle))
    return np.asarray(matrix if np.linalg.det(matrix) > 0 else -matrix)
