"""Click to fix: from clicks "tumour", "kidney" or "not that" to the voxels that get this label, in under a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

from kidneyseg.arrays import Box, Doubles, Floats, Labels
from kidneyseg.editing.change import Voxels
from kidneyseg.editing.star import Rays
from kidneyseg.errors import InputError
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.resample import lattice_for, nearest_values, resample_hu, upsampled_slices, voxel_lattice

# No voxel farther than this from every click changes.
REACH_MM = 20.0

_CELL_MM = 1.5
_WIDE_MM, _WIDE_CELL_MM = 45.0, 2.5
_BINS = np.arange(-130, 281, 5)
_MIDDLES = (_BINS[:-1] + _BINS[1:]) / 2

P = dict(smooth=1.0, near=7.0, smin=35., sscale=3., clip=1., we=.5, g0=25., lam=2.5, off_b=-1.5, off_k=0., iters=5, mixT=.65, prior=-2., rp=3.,
         amp=4., width=4., fix_r=1.5, link=30., recentre=.5, drift=10., small=2., first=0, beyond=8., off_p=2., known=.8, soft=2., wllr=1., rclip=2., gamma=.2, beta=.01, smooth2=1.5)
_RAYS = Rays(REACH_MM + 16)


@dataclass(frozen=True)
class Click:
    """A correction at a voxel, or along a stroke.

    Attributes:
        voxel: where the user clicked, (x, y, z).
        label: what is there: 0 "not that", 1 kidney, 2 tumour, 3 cyst.
        stroke: further voxels with the same label, for a click that was dragged.
    """

    voxel: tuple[int, int, int]
    label: int
    stroke: tuple[tuple[int, int, int], ...] = ()

    @property
    def voxels(self) -> NDArray[np.int64]:
        """All its voxels, int64 (N, 3)."""
        return np.array([self.voxel, *self.stroke], np.int64)


def fix(volume: Volume, labels: Labels, evidence: PointCloud | None, clicks: Sequence[Click]) -> Voxels:
    """The voxels that change by all clicks made so far.

    Args:
        volume: the CT.
        labels: uint8 (X, Y, Z), 0 ... 3, as they were before the first of the clicks.
        evidence: stage 2's cloud with probabilities (N, 3); None where there is none, as for a mask from a file.
        clicks: all clicks so far. A click is taken back by leaving it out.

    Returns:
        Voxels whose label differs from `labels`; none is farther than REACH_MM from every click.

    Raises:
        InputError: a click lies outside the CT, or its label is not 0 ... 3.
    """
    if not clicks:
        return Voxels.none()
    _check(volume, clicks)
    scene = _Scene(volume, labels, clicks)
    return scene.painted(scene.grown())


@dataclass(eq=False)
class _Object:
    """Growing clicks of one label, close to each other."""

    label: int
    own: Doubles  # (N, 3) mm
    was: list[int]
    centre: Doubles
    radius: Doubles | None = None
    inside: Doubles | None = None


class _Scene:
    def __init__(self, volume: Volume, labels: Labels, clicks: Sequence[Click]) -> None:
        self.volume, self.labels, self.clicks = volume, labels, clicks
        self.spacing = spacing = np.asarray(volume.spacing_mm)
        self.points = [(click.label, (np.array(click.voxel) + 0.5) * spacing) for click in clicks]
        centres = np.array([centre for _, centre in self.points])
        cells = _lattice(volume, centres, REACH_MM + 4 * _CELL_MM, _CELL_MM)
        self.cells = cells
        hu = resample_hu(volume, cells).astype(np.float32)
        self.smooth = ndimage.gaussian_filter(hu, P["smooth"] / _CELL_MM)
        self.smooth2 = ndimage.gaussian_filter(hu, P["smooth2"] / _CELL_MM)
        self.base = _labels_on(volume, labels, cells)
        wide = _lattice(volume, centres, _WIDE_MM, _WIDE_CELL_MM)
        wide_hu, wide_base = resample_hu(volume, wide), _labels_on(volume, labels, wide)
        self.around = np.stack([_density(np.histogram(wide_hu[wide_base == label], _BINS)[0]) for label in range(CYST + 1)])
        self.kidney_known = np.count_nonzero(wide_base == KIDNEY) > 300
        self.objects = self._objects()

    def _objects(self) -> list[_Object]:
        out: list[_Object] = []
        for click, (label, at) in zip(self.clicks, self.points, strict=True):
            was = int(self.labels[click.voxel])
            if was == label:
                continue
            near = [o for o in out if o.label == label and np.linalg.norm(o.own - at, axis=1).min() < P["link"]]
            for o in near:
                out.remove(o)
            own = np.concatenate([*(o.own for o in near), at[None]])
            out.append(_Object(label, own, [w for o in near for w in o.was] + [was], own.mean(0)))
        return out

    def _index(self, points_mm: Doubles) -> Doubles:
        return np.moveaxis((points_mm - self.cells.origin_mm) / _CELL_MM - 0.5, -1, 0)

    def _near(self, centre: Doubles) -> Doubles:
        inner = _RAYS.radii_mm <= P["near"]
        hu = ndimage.map_coordinates(self.smooth, self._index(centre + _RAYS.offsets_mm[inner]), order=1, mode="nearest")
        weight = np.repeat(_RAYS.radii_mm[inner] ** 2 + 0.2, hu.shape[1])
        level = _median(hu.ravel(), weight)
        sd = max(1.48 * _median(np.abs(hu.ravel() - level), weight) * P["sscale"], P["smin"])
        return _density(np.exp(-0.5 * ((_MIDDLES - level) / sd) ** 2))

    def offset(self, o: _Object) -> Doubles:
        offset = np.full(CYST + 1, P["off_b"])
        offset[o.was] = P["off_k"] if o.label >= TUMOUR or o.was == [0] * len(o.was) else P["off_p"]
        return offset

    def grow(self, o: _Object) -> None:
        radii = _RAYS.radii_mm[:, None]
        near = np.mean([self._near(at) for at in o.own[: 1 if P["first"] else None]], axis=0)
        if o.label == KIDNEY and self.kidney_known:
            near = (1 - P["known"]) * near + P["known"] * self.around[KIDNEY]
        inside = near
        mean = o.own.mean(0)
        for step in range(int(P["iters"])):
            points = o.centre + _RAYS.offsets_mm
            at = self._index(points)
            hu = ndimage.map_coordinates(self.smooth, at, order=1, mode="nearest")
            base = ndimage.map_coordinates(self.base, at, order=0, mode="nearest")
            bins = np.clip(((hu - _BINS[0]) / 5).astype(int), 0, len(_MIDDLES) - 1)
            ratio = np.log(inside)[bins] - np.log(self.around)[base, bins]
            ratio = np.clip(ratio + self.offset(o)[base], -P["clip"], P["clip"])
            apart = np.min([np.linalg.norm(points - c, axis=-1) for c in o.own], axis=0)
            allowed = apart <= REACH_MM
            last = len(radii) - 1 - allowed[::-1].argmax(axis=0)
            lowest, highest = np.zeros(hu.shape[1]), np.minimum(radii[last, 0] + P["beyond"], radii[-1])
            ratio[~allowed] = 0
            for label, other in self.points:
                away = np.linalg.norm(points - other, axis=-1)
                if away.min() > 8: continue
                sign = 1 if label == o.label else -1
                ratio += sign * P["amp"] * np.exp(-0.5 * (away / P["width"]) ** 2)
                hit, where = away.min(axis=0) < P["fix_r"], radii[away.argmin(axis=0), 0]
                if sign > 0:
                    lowest[hit] = np.maximum(lowest[hit], where[hit])
                else:
                    highest[hit] = np.minimum(highest[hit], np.maximum(where[hit] - P["fix_r"], 1.5))
            lowest = np.minimum(lowest, highest)
            edge = np.clip(np.abs(np.gradient(hu, _RAYS.radii_mm, axis=0)) / P["g0"], 0, 1)
            edge[~allowed] = 0
            cost = -np.cumsum(ratio, axis=0) * radii[1] - 4 * P["we"] * edge + P["prior"] * np.log1p(radii / P["rp"])
            cost += P["small"] * np.clip(5 - radii, 0, None)
            cost[:2] += 1e3
            cost[(radii < lowest - 1e-6) | (radii > np.maximum(highest, radii[2]))] = 1e3
            o.inside = inside
            o.radius = _RAYS.surface(cost, P["lam"])
            if step == int(P["iters"]) - 1:
                break
            within = (radii <= o.radius) & allowed
            counts = np.bincount(bins[within], np.broadcast_to(radii**2, within.shape)[within], len(_MIDDLES))
            inside = P["mixT"] * _density(counts) + (1 - P["mixT"]) * near
            if P["recentre"]:
                shift = (_RAYS.directions * o.radius[:, None] ** 4 / 4).sum(0) / (o.radius**3 / 3).sum()
                centre = o.centre + P["recentre"] * shift
                away = centre - mean
                limit = P["drift"]
                o.centre = mean + away * min(1, limit / max(np.linalg.norm(away), 1e-9))

    def grown(self) -> list[_Object]:
        for o in self.objects:
            self.grow(o)
        return self.objects

    def margin(self, o: _Object) -> Floats:
        """mm inside of the surface, on the cells."""
        where = np.stack(np.meshgrid(*[self.cells.axis_centres_mm(a) for a in range(3)], indexing="ij"), -1)
        offsets = where - o.centre
        distance = np.linalg.norm(offsets, axis=-1)
        maybe = distance <= o.radius.max() + 6
        out = np.full(distance.shape, -6.0, np.float32)
        out[maybe] = _RAYS.radius_towards(o.radius, offsets[maybe]) - distance[maybe]
        return out

    def painted(self, objects: list[_Object]) -> Voxels:
        spacing = self.spacing
        centres = np.array([centre for _, centre in self.points])
        low = np.maximum(np.floor((centres.min(0) - REACH_MM) / spacing), 0).astype(int)
        high = np.minimum(np.ceil((centres.max(0) + REACH_MM) / spacing) + 1, self.volume.shape).astype(int)
        box = _box(low, high)
        before = self.labels[box]
        after = before.copy(order="F")
        target = voxel_lattice(self.volume.shape, self.volume.spacing_mm, (low, high))
        kinds = sorted({o.label for o in objects})
        if kinds:
            fields = []
            for kind in kinds:
                own = [o for o in objects if o.label == kind]
                margin = np.max([self.margin(o) for o in own], axis=0)
                odds = np.clip(margin / P["soft"], -3, 3)
                if P["wllr"]:
                    bins = np.clip(((self.smooth - _BINS[0]) / 5).astype(int), 0, len(_MIDDLES) - 1)
                    inside = np.mean([o.inside for o in own], axis=0)
                    ratio = np.log(inside)[bins] - np.log(self.around)[self.base, bins]
                    offset = np.max([self.offset(o) for o in own], axis=0)
                    odds = odds + P["wllr"] * np.clip(ratio + offset[self.base], -P["rclip"], P["rclip"])
                prior = 1 / (1 + np.exp(-odds))
                fields.append(self.walk(prior, kind).astype(np.float32) if P["gamma"] < 50 else prior.astype(np.float32))
            field = np.stack(fields)
            best, value = np.empty(target.shape, np.int8), np.empty(target.shape, np.float32)
            for k, values in upsampled_slices(field, self.cells, target):
                best[:, :, k], value[:, :, k] = values.argmax(0), values.max(0)
            near = np.ones(target.shape, np.bool_)
            for o in objects:
                at = np.floor(o.own / spacing).astype(int) - low
                near[tuple(at.T)] = False
            inside = (value > 0.5) & (ndimage.distance_transform_edt(near, sampling=spacing) <= REACH_MM)
            new = np.array(kinds, np.uint8)[best]
            may = np.ones((CYST + 1, CYST + 1), np.bool_)
            for kind in (0, KIDNEY):
                may[kind] = False
                may[kind][[w for o in objects if o.label == kind for w in o.was]] = True
            inside &= may[new, before]
            after[inside] = new[inside]
        for click in self.clicks:
            for voxel in click.voxels - low:
                after[tuple(voxel)] = click.label
        return Voxels.of_box(box, after != before, after, self.volume.shape)

    def walk(self, prior: Floats, kind: int) -> Floats:
        shape = prior.shape
        index = np.arange(prior.size).reshape(shape)
        flat = self.smooth2.ravel()
        diagonal = np.full(prior.size, P["gamma"])
        right = P["gamma"] * prior.ravel().astype(np.float64)
        for label, at in self.points:
            cell = np.floor((at - self.cells.origin_mm) / _CELL_MM).astype(int).clip(0, np.array(shape) - 1)
            i = index[tuple(cell)]
            diagonal[i] += 100
            right[i] += 100 * (label == kind)
        offsets, bands = [], []
        for axis in range(3):
            stride = int(np.prod(shape[axis + 1 :]))
            a = index.take(range(shape[axis] - 1), axis).ravel()
            w = np.zeros(prior.size)
            w[a] = np.exp(-P["beta"] * (flat[a] - flat[a + stride]) ** 2) + 1e-3
            diagonal += w
            diagonal[stride:] += w[:-stride]
            offsets += [stride, -stride]
            bands += [np.r_[np.zeros(stride), -w[:-stride]], -w]
        matrix = sparse.dia_array((np.array([diagonal, *bands]), [0, *offsets]), shape=(prior.size,) * 2).tocsr()
        out, _ = cg(matrix, right, x0=prior.ravel(), rtol=1e-3, maxiter=60, M=sparse.diags_array(1 / diagonal))
        return out.reshape(shape)


def _median(values: Floats, weights: Doubles) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _density(counts: NDArray[np.number]) -> Doubles:
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 2.0)
    if counts.sum() < 1e-9:
        return np.full(len(counts), 1 / len(counts))
    return (smooth / smooth.sum() + 1e-3) / (1 + 1e-3 * len(counts))


def _box(low: NDArray[np.integer], high: NDArray[np.integer]) -> Box:
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return x, y, z


def _lattice(volume: Volume, centres: Doubles, reach: float, step: float) -> Lattice:
    return lattice_for(volume, step, (np.floor((centres.min(0) - reach) / step).astype(int), np.ceil((centres.max(0) + reach) / step).astype(int)))


def _labels_on(volume: Volume, labels: Labels, cells: Lattice) -> Labels:
    return nearest_values(labels, voxel_lattice(volume.shape, volume.spacing_mm), cells)


def _check(volume: Volume, clicks: Sequence[Click]) -> None:
    for click in clicks:
        if not 0 <= click.label <= CYST:
            raise InputError(f"a click has the label {click.label}; known are 0, 1 kidney, 2 tumour, 3 cyst")
        if (click.voxels < 0).any() or (click.voxels >= volume.shape).any():
            raise InputError(f"the click at {click.voxel} lies outside the CT of {volume.shape} voxels")
