"""Cuts the sites of a level into slabs across x, whose features fit in little memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kidneyseg.arrays import Indices
from kidneyseg.sparse.kernel_map import PADDING, Packing
from kidneyseg.sparse.sites import Sites


@dataclass(frozen=True, eq=False)
class Slab:
    """Consecutive sites of a level, those with an x of first ... end - 1, in rows of the level's keys."""

    first: int
    end: int
    coarse: slice  #: the rows of their parents in the coarser level, which have no other children
    starts: Indices  #: int64 (x + 1,), the row where the sites of each x begin, and the number of all rows

    @property
    def rows(self) -> slice:
        """The slab's own rows."""
        return self.around(0)

    def around(self, margin: int) -> slice:
        """Its rows and those of the `margin` x before and after it."""
        last = len(self.starts) - 1
        return slice(int(self.starts[max(self.first - margin, 0)]), int(self.starts[min(self.end + margin, last)]))


def slabs_of(fine: Sites, coarse: Sites, size: int) -> list[Slab]:
    """The slabs of a level, together all of its rows.

    Args:
        fine: the level.
        coarse: the next coarser one.
        size: about how many sites a slab has. One has more where many sites have the same x.
    """
    starts = _starts(fine)
    parents = _parent_x(np.arange(len(starts)), fine.packing, coarse.packing)
    # A slab begins where no parent has children on both sides.
    cuts = 1 + np.flatnonzero(np.diff(parents))
    count = -(-len(fine) // size)
    wanted = np.arange(1, count) * len(fine) / count
    chosen = cuts[np.searchsorted(starts[cuts], wanted).clip(max=len(cuts) - 1)].tolist() if len(cuts) else []
    inner = {int(starts[cut]): cut for cut in chosen}  # one cut of those between the same rows
    bounds = [0, *(cut for row, cut in sorted(inner.items()) if 0 < row < len(fine)), len(starts) - 1]
    ends = _starts(coarse)[np.minimum(parents[bounds], _xs(coarse))].tolist()
    ends[0], ends[-1] = 0, len(coarse)
    return [
        Slab(first, end, slice(low, high), starts)
        for first, end, low, high in zip(bounds, bounds[1:], ends, ends[1:], strict=False)
    ]


def _xs(level: Sites) -> int:
    """How many x, padding and batches included, there are up to the last site's."""
    plane = level.packing.y_size * level.packing.z_size
    return int(level.keys[-1]) // plane + 1


def _starts(level: Sites) -> Indices:
    """Where the sites of each x begin: int64 (x + 1,), the last entry is the number of sites."""
    plane = level.packing.y_size * level.packing.z_size
    return np.searchsorted(level.keys, np.arange(_xs(level) + 1) * plane).astype(np.int64)


def _parent_x(x: Indices, fine: Packing, coarse: Packing) -> Indices:
    """The x of the parents, both with padding and with all batches in a row."""
    batch, inside = np.divmod(x, fine.x_size)
    return np.asarray(batch * coarse.x_size + ((inside - PADDING) >> 1) + PADDING)
