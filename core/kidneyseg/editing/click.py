"""Click to fix: from clicks "tumour", "kidney" or "not that" to the voxels that get this label, in under a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

from kidneyseg.arrays import Box, Floats
from kidneyseg.editing.change import Voxels
from kidneyseg.errors import InputError
from kidneyseg.imaging.labels import CYST
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.resample import lattice_for, nearest_values, resample_hu, upsampled_slices, voxel_lattice

# No voxel farther than this from every click changes.
REACH_MM = 20.0

# Edge of the cells that the labels are found on.
_CELL_MM = 1.5


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


def fix(volume: Volume, labels: NDArray[np.uint8], evidence: PointCloud | None, clicks: Sequence[Click]) -> Voxels:
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
    spacing = np.asarray(volume.spacing_mm)
    points = np.concatenate([click.voxels for click in clicks])
    reach = np.ceil((REACH_MM + 2 * _CELL_MM) / spacing).astype(int)
    low, high = np.maximum(points.min(0) - reach, 0), np.minimum(points.max(0) + reach + 1, volume.shape)
    cells = lattice_for(
        volume,
        _CELL_MM,
        (np.floor(low * spacing / _CELL_MM).astype(int), np.ceil(high * spacing / _CELL_MM).astype(int)),
    )
    hu = resample_hu(volume, cells).astype(np.float32)
    base = nearest_values(
        labels[tuple(slice(a, b) for a, b in zip(low, high))],
        voxel_lattice(volume.shape, volume.spacing_mm),
        cells,
        low,
    )
    kinds = sorted({click.label for click in clicks})
    seeds = np.full(cells.shape, -1, np.int64)
    priors = np.zeros((len(kinds), *cells.shape), np.float32)
    smooth = ndimage.gaussian_filter(hu, 1.5 / _CELL_MM)
    for click in clicks:
        where = [tuple(c) for c in _cells(click, spacing, cells)]
        kind = kinds.index(click.label)
        for cell in where:
            seeds[cell] = kind
            np.maximum(priors[kind], _membership(smooth, base, cell), out=priors[kind])
    keep = 1 - priors.max(0)
    total = priors.sum(0) + keep
    field = _walk(smooth, np.stack([*priors, keep]) / total, seeds)
    return _painted(volume, labels, field, kinds, cells, low, high, points, clicks)


def _membership(smooth: Floats, base: NDArray[np.uint8], cell: tuple[int, ...]) -> Floats:
    offsets = np.stack(np.meshgrid(*[np.arange(n) - c for n, c in zip(smooth.shape, cell)], indexing="ij")) * _CELL_MM
    distance = np.sqrt((offsets**2).sum(0))
    near = distance <= 5
    level = np.median(smooth[near])
    spread = np.clip(1.48 * np.median(np.abs(smooth[near] - level)), 10, 25)
    similar = np.exp(-0.5 * ((smooth - level) / (2 * spread)) ** 2)
    similar *= 1 / (1 + np.exp((distance - 18) / 1.5))
    return similar.astype(np.float32)


def _walk(smooth: Floats, priors: Floats, seeds: NDArray[np.int64], beta: float = 0.005, gamma: float = 0.05) -> Floats:
    """A random walk with priors (Grady 2005): the probability of each label."""
    shape = smooth.shape
    index = np.arange(smooth.size).reshape(shape)
    rows, cols, weights = [], [], []
    for axis in range(3):
        a, b = (index.take(range(i, shape[axis] - 1 + i), axis).ravel() for i in (0, 1))
        w = np.exp(-beta * (smooth.ravel()[a] - smooth.ravel()[b]) ** 2) + 1e-4
        rows += [a, b]
        cols += [b, a]
        weights += [w, w]
    w = sparse.csr_array(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(cols))), shape=(smooth.size,) * 2
    )
    fixed = np.where(seeds.ravel() >= 0, 1e3, gamma).astype(np.float32)
    diagonal = np.asarray(w.sum(1)).ravel() + fixed
    matrix = (sparse.diags_array(diagonal) - w).tocsr()
    out = np.empty((len(priors), smooth.size), np.float32)
    precondition = sparse.diags_array(1 / diagonal)
    for k, prior in enumerate(priors):
        right = fixed * np.where(seeds.ravel() >= 0, seeds.ravel() == k, prior.ravel())
        out[k], _ = cg(matrix, right, x0=prior.ravel(), rtol=1e-3, maxiter=200, M=precondition)
    return out.reshape(priors.shape)


def _painted(volume, labels, field, kinds, cells, low, high, points, clicks) -> Voxels:
    box: Box = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    target = voxel_lattice(volume.shape, volume.spacing_mm, (low, high))
    best = np.empty(target.shape, np.int64)
    for k, values in upsampled_slices(field, cells, target):
        best[:, :, k] = values.argmax(0)
    before = labels[box]
    after = np.append(np.array(kinds, np.uint8), 0)[best]
    changed = best < len(kinds)
    for click in clicks:
        for v in click.voxels - low:
            after[tuple(v)], changed[tuple(v)] = click.label, True
    changed &= after != before
    mark = np.ones(target.shape, np.bool_)
    mark[tuple((points - low).T)] = False
    changed &= ndimage.distance_transform_edt(mark, sampling=volume.spacing_mm) <= REACH_MM
    return Voxels.of_box(box, changed, after.astype(np.uint8), volume.shape)


def _cells(click: Click, spacing: NDArray[np.float64], cells: Lattice) -> NDArray[np.int64]:
    position = (click.voxels + 0.5) * spacing
    return np.stack([cells.cells_of(position[:, a], a).clip(0, cells.shape[a] - 1) for a in range(3)], 1)


def _check(volume: Volume, clicks: Sequence[Click]) -> None:
    for click in clicks:
        if not 0 <= click.label <= CYST:
            raise InputError(f"a click has the label {click.label}; known are 0, 1 kidney, 2 tumour, 3 cyst")
        if (click.voxels < 0).any() or (click.voxels >= volume.shape).any():
            raise InputError(f"the click at {click.voxel} lies outside the CT of {volume.shape} voxels")
