"""A volume into which soft-edged shapes are painted, in patient coordinates (mm)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kidneyseg.arrays import Box

Array = NDArray[Any]  # float32 (Z, Y, X); Any, as most NumPy operations lose the precision in their types
Point = tuple[float, float, float]
_WARP_MM = 3.0  # SD of the warp of the coordinates
_EDGE_MM = 1.2  # width of a border, as partial volumes make it


class Canvas:
    """HU and labels on a grid, as (Z, Y, X) arrays whose transpose is (X, Y, Z) in Fortran order.

    Attributes:
        hu: float32 (Z, Y, X).
        labels: uint8 (Z, Y, X).
        x, y, z: float32 (Z, Y, X) patient coordinates in mm, gently warped so that no shape is perfectly regular.
            x grows to the patient's right, y to the front, z upward.
    """

    def __init__(self, shape: tuple[int, int, int], spacing_mm: Point, centre: Point, rng: np.random.Generator) -> None:
        self._rng = rng
        self._spacing = spacing_mm
        self._axes = [
            (np.arange(n) - (n - 1) / 2) * step + middle
            for n, step, middle in zip(shape, spacing_mm, centre, strict=True)
        ]
        x, y, z = (axis.astype(np.float32) for axis in self._axes)
        self.hu = np.full((len(z), len(y), len(x)), -1000, np.float32)
        self.labels = np.zeros(self.hu.shape, np.uint8)
        self.x = x[None, None, :] + self.field(60) * _WARP_MM
        self.y = y[None, :, None] + self.field(60) * _WARP_MM
        self.z = z[:, None, None] + self.field(60) * _WARP_MM

    def flat(self, axis: int) -> Array:
        """The unwarped coordinate along x (0), y (1) or z (2), shaped to broadcast against (Z, Y, X)."""
        shape = [1, 1, 1]
        shape[2 - axis] = -1
        return self._axes[axis].astype(np.float32).reshape(shape)

    def box(self, low: Sequence[float], high: Sequence[float]) -> Box:
        """Slices (z, y, x) of the voxels between two corners in mm, with a margin for the warp. May be empty."""
        pad = 3 * _WARP_MM + 2
        first = [int(np.searchsorted(axis, low[i] - pad)) for i, axis in enumerate(self._axes)]
        last = [int(np.searchsorted(axis, high[i] + pad)) for i, axis in enumerate(self._axes)]
        return slice(first[2], last[2]), slice(first[1], last[1]), slice(first[0], last[0])

    def around(self, centre: Point, reach: float) -> Box:
        """The box within `reach` mm of a point along each axis."""
        return self.box([c - reach for c in centre], [c + reach for c in centre])

    def field(self, scale_mm: float, box: Box | None = None) -> Array:
        """Smooth random numbers of mean 0 and SD 1 that vary over about `scale_mm`, (Z, Y, X) or the box's shape."""
        axes = [self._axes[2 - i] if box is None else self._axes[2 - i][box[i]] for i in range(3)]
        if not all(len(axis) for axis in axes):
            return np.zeros([len(axis) for axis in axes], np.float32)
        weights = [_spline_weights(axis, scale_mm) for axis in axes]
        nodes = self._rng.standard_normal([w.shape[1] for w in weights]).astype(np.float32)
        along_z, along_y, along_x = weights
        plane = np.einsum("yj,kji->kyi", along_y, nodes, optimize=True)
        rows = plane @ along_x.T
        out: Array = (along_z @ rows.reshape(len(rows), -1)).reshape(len(along_z), len(along_y), len(along_x))
        return out

    def tubes(self, scale_mm: float, radius_mm: float, box: Box | None = None) -> Array:
        """Approximate signed distance in mm to random vessels about `scale_mm` apart."""
        near = hypotenuse(self.field(scale_mm, box), self.field(scale_mm, box))
        return near * (0.6 * scale_mm) - np.float32(radius_mm)

    def paint(
        self, distance: Array, value: float | Array, box: Box | None = None, *, edge_mm: float = _EDGE_MM
    ) -> None:
        """Blend `value` (a number or an array of HU) in where the signed `distance` in mm is negative (inside)."""
        target = self.hu if box is None else self.hu[box]
        touched = distance < 0.5 * edge_mm
        cover = np.clip(0.5 - distance[touched] / np.float32(edge_mm), 0, 1)
        old = target[touched]
        new = value[touched] if isinstance(value, np.ndarray) else np.float32(value)
        target[touched] = old + cover * (new - old)

    def ellipsoid(self, box: Box, centre: Point, radii: Point, axes: ArrayLike | None = None) -> Array:
        """Approximate signed distance in mm to an ellipsoid whose local axes are the rows of `axes`."""
        local = self.local(box, centre, axes)
        scaled = sum((p / np.float32(r)) ** 2 for p, r in zip(local, radii, strict=True))
        s = np.sqrt(np.maximum(scaled, 1e-6))
        size = np.float32(min(radii))
        return np.asarray((s - 1) * size, np.float32)

    def local(self, box: Box, centre: Point, axes: ArrayLike | None = None) -> tuple[Array, Array, Array]:
        """Coordinates in mm relative to `centre`, along the rows of `axes` (the patient's axes if None)."""
        p = [self.x[box] - np.float32(centre[0]), self.y[box] - np.float32(centre[1])]
        p.append(self.z[box] - np.float32(centre[2]))
        if axes is None:
            return p[0], p[1], p[2]
        rows = np.asarray(axes, np.float32)
        u, v, w = (row[0] * p[0] + row[1] * p[1] + row[2] * p[2] for row in rows)
        return u, v, w

    def chain(self, points: Sequence[Point], radii: Sequence[float]) -> list[tuple[Box, Array]]:
        """A tube through `points` as (box, signed distance) per segment; `radii` are interpolated in between."""
        found = []
        for a, b, r, s in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            reach = max(r, s)
            low = [min(p, q) - reach for p, q in zip(a, b, strict=True)]
            high = [max(p, q) + reach for p, q in zip(a, b, strict=True)]
            box = self.box(low, high)
            along = np.asarray(b, np.float32) - np.asarray(a, np.float32)
            p = self.local(box, a)
            t = np.clip(sum(c * d for c, d in zip(p, along, strict=True)) / max(float(along @ along), 1e-6), 0, 1)
            off = np.sqrt(sum((c - t * d) ** 2 for c, d in zip(p, along, strict=True)))
            found.append((box, np.asarray(off - (r + t * (s - r)), np.float32)))
        return found

    def tube(self, points: Sequence[Point], radii: Sequence[float], value: float) -> None:
        """Paint a tube of constant HU."""
        for box, distance in self.chain(points, radii):
            self.paint(distance, value, box)

    def blur(self, sigma_mm: Point) -> None:
        """Blur the HU with the scanner's point spread function, a Gaussian."""
        self.hu = blurred(self.hu, [sigma / step for sigma, step in zip(sigma_mm, self._spacing, strict=True)])

    def add_noise(self, sd_hu: float, sigma_mm: Point) -> None:
        """Add correlated Gaussian noise of the given SD."""
        noise = self._rng.standard_normal(self.hu.shape, np.float32)
        noise = blurred(noise, [sigma / step for sigma, step in zip(sigma_mm, self._spacing, strict=True)])
        self.hu += noise * np.float32(sd_hu / max(float(noise[::2, ::3, ::3].std()), 1e-6))


def hypotenuse(a: Array, b: Array) -> Array:
    """np.hypot without its overflow handling, which makes it ten times slower."""
    return np.asarray(np.sqrt(a * a + b * b))


def blurred(image: Array, sigma_voxels: Sequence[float]) -> Array:
    """Gaussian blur of a (Z, Y, X) image with sigmas in voxels along x, y, z; edges are repeated."""
    for axis, sigma in zip((2, 1, 0), sigma_voxels, strict=True):
        reach = int(np.ceil(2.5 * sigma))
        if reach < 1 or sigma < 0.2:
            continue
        taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        taps /= taps.sum()
        pad = [(reach, reach) if i == axis else (0, 0) for i in range(3)]
        padded, length = np.pad(image, pad, mode="edge"), image.shape[axis]
        image = np.zeros_like(image)
        for shift, tap in enumerate(taps):
            part = [slice(shift, shift + length) if i == axis else slice(None) for i in range(3)]
            image += np.float32(tap) * padded[tuple(part)]
    return image


def _spline_weights(axis: NDArray[Any], scale_mm: float) -> Array:
    """(len(axis), nodes) weights of a cubic B-spline with nodes `scale_mm` apart, of unit variance."""
    t = (axis - axis[0]) / scale_mm
    nodes = np.arange(-1, int(np.ceil(t[-1])) + 3)
    d = np.abs(t[:, None] - nodes[None, :])
    weights = np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.where(d < 2, (2 - d) ** 3 / 6, 0))
    return np.asarray(weights / np.sqrt((weights**2).sum(1, keepdims=True)), np.float32)
