"""DBSCAN (Ester et al., KDD 1996) of lattice points in mm: removes outliers and separates objects.

Time and memory are bounded: scikit-learn lists the neighbours of every point, which takes gigabytes here
(docs/explanation/method.md), whereas here running sums over an occupancy grid count them. While eps spans at most about
a dozen cells, the grid is the lattice itself and the result is exact. Beyond that, neighbouring cells are pooled and
weighted by the points they hold: a distance is then off by up to one pooled cell, eps / 6 at most per axis.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from kidneyseg.arrays import separate_boxes
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR
from kidneyseg.points.cloud import PointCloud
from kidneyseg.progress import Progress

# eps spans at least this many grid cells before cells are pooled.
_CELLS_PER_EPS = 6

# With more cells than this in the box around all points, they are pooled further (8 bytes per cell).
_MOST_CELLS = 12_000_000

# With more parts than this, boxes around them are not compared: there are nearer ones.
_MOST_BOXES = 32

# With more components than this, the nearest core cell is searched for every border cell.
_MOST_COUNTED = 4

_EPS_SLACK = 1 + 1e-6  # a neighbour at exactly eps counts, whatever the rounding


def cluster_cloud(
    cloud: PointCloud,
    eps_mm: float,
    min_samples: int | None,
    *,
    per_class: bool = False,
    progress: Progress | None = None,
) -> tuple[PointCloud, NDArray[np.int32]]:
    """The points of kidneys and their lesions in `cloud` without outliers, and which object each belongs to.

    Args:
        cloud: with labels.
        eps_mm: neighbourhood radius.
        min_samples: points within eps, itself included, that make a core point; None is auto: a twentieth of all
            points, but at most half of what the median point has within eps.
        per_class: cluster the points of each class separately, as published; otherwise they form objects together, so
            that a tumour on a kidney is not an outlier.
        progress: checked along the way.

    Returns:
        The kept points, rows in the cloud's order, and their int32 object ids 0, 1, ... in order of each object's first
        point. A point within eps of core points of several objects belongs to the nearest. With `per_class` an object
        never holds both classes.

    Raises:
        ValueError: for a cloud without labels.
    """
    kidney, tumour, cyst = (cloud.labelled(label) for label in (KIDNEY, TUMOUR, CYST))
    ids = np.full(len(cloud), -1, np.int32)
    step = np.asarray(cloud.lattice.step_mm)
    for members in (kidney, tumour, cyst) if per_class else (kidney | tumour | cyst,):
        rows = np.flatnonzero(members)
        index = cloud.index[rows].astype(np.int64)
        labels = _cluster_cells(index, step, eps_mm, min_samples, progress or Progress())
        ids[rows] = np.where(labels >= 0, labels + (ids.max(initial=-1) + 1), -1)
    kept = ids >= 0
    return cloud.select(kept), ids[kept]


def _cluster_cells(
    index: NDArray[np.int64],
    step: NDArray[np.float64],
    eps_mm: float,
    min_samples: int | None,
    progress: Progress,
) -> NDArray[np.int32]:
    """DBSCAN of points that lie in the cells `index` (N, 3) of a grid with edges `step` mm."""
    if len(index) == 0:
        return np.zeros(0, np.int32)
    index, step = _pool(index - index.min(axis=0), step, eps_mm)
    grid = _Grid(index, step, eps_mm)
    counts = grid.sums_within(grid.samples, grid.cells, progress)
    needed = _auto_min_samples(grid.samples, counts) if min_samples is None else min_samples
    core = counts >= needed * (1 - 1e-9)
    labels = np.full(len(grid.cells), -1, np.int64)
    if core.any():
        labels[core] = grid.components(core, progress)
        if not core.all():
            labels[~core] = grid.reached(labels, ~core, progress)
    return _numbered_by_first(labels[grid.cell_of_point])


def _auto_min_samples(samples: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    """A twentieth of the samples, but no more than half of what the median point has within eps.

    The published n / 20 is for a ball with a radius of 20 voxels. In mm, thick slices leave fewer voxels in the ball,
    and n / 20 could be more than any ball holds: every point would be noise.
    """
    return max(1.0, min(float(samples.sum()) / 20, float(np.median(counts)) / 2))


def _pool(
    index: NDArray[np.int64], step: NDArray[np.float64], eps_mm: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Coarsen the grid where eps spans more of its cells than needed, or where it would not fit in memory."""
    factor = np.maximum(1, np.floor(eps_mm / _CELLS_PER_EPS / step)).astype(np.int64)
    while np.prod((index.max(axis=0) // factor + 1 + 2 * (eps_mm / (step * factor) + 1)).astype(float)) > _MOST_CELLS:
        factor *= 2
    return index // factor, step * factor


class _Grid:
    """Occupied cells of a dense box with a margin of eps on every side, addressed by flat index."""

    def __init__(self, index: NDArray[np.int64], step: NDArray[np.float64], eps_mm: float) -> None:
        self.step, self.eps_mm = step, eps_mm * _EPS_SLACK
        # At least one cell for neighbours, and one more in front to read the running sum just before the first cell.
        margin = np.maximum(np.floor(self.eps_mm / step).astype(np.int64), 1) + 1
        x, y, z = (int(n) for n in index.max(axis=0) + 1 + 2 * margin)
        self.shape = (x, y, z)
        self.strides = np.array([y * z, z, 1])
        at = (index + margin) @ self.strides
        number = np.zeros(x * y * z, np.int32)
        number[at] = 1
        self.cells = np.flatnonzero(number)
        number[self.cells] = np.arange(len(self.cells), dtype=np.int32)
        self.cell_of_point = number[at]
        self.samples = np.bincount(self.cell_of_point, minlength=len(self.cells)).astype(np.float64)

    def sums_within(
        self, values: NDArray[np.generic], around: NDArray[np.int64], progress: Progress
    ) -> NDArray[np.float64]:
        """For each cell `around`, the sum of the occupied cells' `values` over those with centres within eps."""
        running = np.zeros(self.shape, np.float32)
        running.reshape(-1)[self.cells] = values
        np.cumsum(running, axis=2, out=running)
        flat = running.reshape(-1)
        sums = np.zeros(len(around))
        for dx, dy, reach in self._columns():
            offset = dx * self.strides[0] + dy * self.strides[1]
            sums += flat[around + (offset + reach)]
            sums -= flat[around + (offset - reach - 1)]
            progress.check()
        return sums

    def reached(self, labels: NDArray[np.int64], border: NDArray[np.bool_], progress: Progress) -> NDArray[np.int64]:
        """The component of the nearest core cell within eps of each border cell, or -1.

        Args:
            labels: int64 (cells,), the component of each core cell; -1 for all others.
            border: bool (cells,), the cells that are no core cells.
            progress: checked along the way.
        """
        cells, components = self.cells[border], np.unique(labels[~border])
        if len(components) > _MOST_COUNTED:
            return self._nearest(labels, ~border, cells)
        within = np.array([self.sums_within(labels == one, cells, progress) > 0 for one in components])
        found = np.where(within.any(axis=0), components[within.argmax(axis=0)], -1)
        several = within.sum(axis=0) > 1
        if several.any():
            found[several] = self._nearest(labels, ~border, cells[several])
        return found

    def _nearest(
        self, labels: NDArray[np.int64], core: NDArray[np.bool_], cells: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The label of the core cell that is nearest to each of the cells and within eps, or -1."""
        from scipy.spatial import KDTree  # noqa: PLC0415 - takes a tenth of a second, and is seldom needed

        def positions(of: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.stack(np.unravel_index(of, self.shape), axis=1) * self.step

        distance, row = KDTree(positions(self.cells[core])).query(positions(cells), distance_upper_bound=self.eps_mm)
        return np.where(np.isfinite(distance), np.append(labels[core], -1)[row], -1)

    def components(self, core: NDArray[np.bool_], progress: Progress) -> NDArray[np.int64]:
        """Component of each core cell, where cells within eps of each other are joined."""
        dense = np.zeros(self.shape, np.bool_)
        dense.reshape(-1)[self.cells[core]] = True
        offsets = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1)
        touching = np.linalg.norm(offsets * self.step, axis=-1) <= self.eps_mm
        labelled, count = np.zeros(self.shape, np.int32), 0
        boxes = separate_boxes(dense)
        for box in boxes:
            parts, more = ndimage.label(dense[box], touching)
            labelled[box] = np.where(parts, parts + count, 0)
            count += more
        parts = labelled.reshape(-1)
        own: NDArray[np.int64] = parts[self.cells[core]].astype(np.int64) - 1
        if count == 1:
            return own
        # Only cells at the rim of a part can be the closest to another part.
        for box in boxes:
            dense[box] &= ~ndimage.binary_erosion(dense[box], touching)
        rim = self.cells[core][dense.reshape(-1)[self.cells[core]]]
        joined = self._joined(parts, count, rim, progress)
        return np.asarray(joined[own], np.int64)

    def _joined(
        self, parts: NDArray[np.int32], count: int, rim: NDArray[np.int64], progress: Progress
    ) -> NDArray[np.int64]:
        """New component of each of the parts 1 ... count, after joining those with rim cells within eps."""
        largest = int(np.bincount(parts)[1:].argmax())
        joined = np.arange(count)
        if len(rim) == 0:  # no cell touches another one, whatever the part
            return joined
        every = _Rim(np.stack(np.unravel_index(rim, self.shape), axis=1), parts[rim] - 1, count)
        all_rim, rim = rim, rim[self._near_another(every, joined, count)]
        # Nearest columns first: most parts join early, and cells that have joined the largest part can be skipped,
        # because every other part that reaches it checks this itself.
        for dx, dy, reach in sorted(self._columns(), key=lambda run: run[0] ** 2 + run[1] ** 2):
            rim = rim[joined[parts[rim] - 1] != joined[largest]]
            if len(rim) == 0:
                break
            own = joined[parts[rim] - 1]
            pairs = []
            for dz in range(-reach, reach + 1):
                other = parts[rim + (dx * self.strides[0] + dy * self.strides[1] + dz)]
                there = np.flatnonzero(other)
                one, two = own[there], joined[other[there] - 1]
                pairs.append(np.stack([one, two])[:, one != two])
            a, b = np.concatenate(pairs, axis=1)
            if len(a):
                graph = sparse.coo_array((np.ones(len(a)), (a, b)), shape=(count, count))
                count, merged = sparse.csgraph.connected_components(graph, directed=False)
                joined = merged[joined].astype(np.int64)
                rim = all_rim[self._near_another(every, joined, count)]
            progress.check()
        return joined

    def _near_another(self, rim: _Rim, joined: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
        """Which cells of the rim lie within eps of the box around another of the `count` objects that are joined."""
        if count > _MOST_BOXES:
            return np.ones(len(rim.own), np.bool_)
        own, reach = joined[rim.own], np.floor(self.eps_mm / self.step).astype(np.int64)
        near = np.zeros(len(own), np.bool_)
        for number in range(count):
            low, high = rim.low[joined == number].min(axis=0), rim.high[joined == number].max(axis=0)
            # The cells are in the order of x. Few are near a small object or belong to another one than a large object.
            start, stop = np.searchsorted(rim.x, [low[0] - reach[0], high[0] + reach[0] + 1])
            others = start + np.flatnonzero((own[start:stop] != number) & ~near[start:stop])
            apart = np.maximum(low - rim.index[others], rim.index[others] - high).clip(0) * self.step
            near[others] = (apart**2).sum(axis=1) <= self.eps_mm**2 * _EPS_SLACK
        return near

    def _columns(self) -> Iterator[tuple[int, int, int]]:
        """(dx, dy, reach): the ball of radius eps as runs of cells -reach ... reach along z."""
        rx, ry = (int(self.eps_mm / self.step[axis]) for axis in (0, 1))
        for dx in range(-rx, rx + 1):
            for dy in range(-ry, ry + 1):
                rest = self.eps_mm**2 - (dx * self.step[0]) ** 2 - (dy * self.step[1]) ** 2
                if rest >= 0:
                    yield dx, dy, int(np.sqrt(rest) / self.step[2])


class _Rim:
    """Cells `index` (N, 3), in the order of x, of `count` parts, each cell of the part `own` (N,)."""

    def __init__(self, index: NDArray[np.int64], own: NDArray[np.integer], count: int) -> None:
        self.index, self.own = index, own
        self.x = np.ascontiguousarray(index[:, 0])
        order = np.argsort(own, kind="stable")
        starts = np.searchsorted(own[order], np.arange(count))
        # (count, 3), the box around each part
        self.low, self.high = np.minimum.reduceat(index[order], starts), np.maximum.reduceat(index[order], starts)


def _numbered_by_first(labels: NDArray[np.int64]) -> NDArray[np.int32]:
    """Renumber clusters 0, 1, ... in order of their first row; -1 stays."""
    first = np.full(labels.max(initial=-1) + 2, len(labels))  # of the label before each index
    first[labels[::-1] + 1] = np.arange(len(labels) - 1, -1, -1)  # of several rows the last one, here the first, stays
    first[0] = -1
    number = np.empty(len(first), np.int32)
    number[np.argsort(first, kind="stable")] = np.arange(-1, len(first) - 1, dtype=np.int32)
    return number[labels + 1]
