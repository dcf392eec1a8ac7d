"""Slabs of a level."""

import numpy as np
import pytest

from kidneyseg.sparse import native
from kidneyseg.sparse.sites import Sites, merge
from kidneyseg.sparse.slabs import slabs_of

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


def level_of(coords: np.ndarray) -> Sites:
    return merge(coords, np.zeros((len(coords), 1), np.float32), 3)[0]


def x_of(level: Sites, rows: slice) -> np.ndarray:
    """Batch and x of some sites, as one number."""
    x, _, _, batch = level.packing.unpack(level.keys[rows])
    return np.asarray(batch * 1000 + x)


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
@pytest.mark.parametrize("width", [1, 2, 13])
def test_slabs_are_the_whole_level_and_share_no_parents(size: int, width: int) -> None:
    rng = np.random.default_rng(1)
    coords = np.column_stack([rng.integers(0, [width, 9, 9], (600, 3)), rng.integers(0, 3, 600)])
    level = level_of(coords[coords[:, 0] != 4])  # a gap
    down = level.down()
    slabs = slabs_of(level, down.coarse, size)
    assert [slab.rows.start for slab in slabs] == [0, *(slab.rows.stop for slab in slabs[:-1])]
    assert [slab.coarse.start for slab in slabs] == [0, *(slab.coarse.stop for slab in slabs[:-1])]
    assert (slabs[-1].rows.stop, slabs[-1].coarse.stop) == (len(level), len(down.coarse))
    for slab in slabs:
        parents = down.parents.parent[slab.rows]
        assert (parents.min(), parents.max()) == (slab.coarse.start, slab.coarse.stop - 1)
        own = x_of(level, slab.rows)
        near = x_of(level, slice(None))
        wanted = np.flatnonzero((near >= own.min() - 2) & (near <= own.max() + 2))
        around = slab.around(2)
        assert around.start <= wanted[0]
        assert around.stop > wanted[-1]
    if size == 10_000:
        assert len(slabs) == 1
    elif size == 1 and width == 13:
        assert len(slabs) == len(set((x_of(down.coarse, slice(None))).tolist()))
