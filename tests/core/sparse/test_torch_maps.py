"""Keys and kernel maps made in torch against those of the native kernels."""

import numpy as np
import pytest
import torch

from kidneyseg.sparse import native, torch_maps
from kidneyseg.sparse.kernel_map import Packing
from random_sites import sites

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


@pytest.mark.parametrize(("count", "edge"), [(0, 4), (1, 1), (2, 40), (3000, 10), (9000, 64)])
def test_native_and_torch_maps_are_equal(count, edge, threads):
    keys, packing = sites(count, edge, batches=3)
    coarse = packing.coarser()
    for number in (1, 2, 3):
        threads(number)
        for size in (1, 3, 5):
            table = native.neighbour_table(keys, packing.y_size, packing.z_size, size)
            expected = torch_maps.neighbour_table(torch.from_numpy(keys), packing.y_size, packing.z_size, size)
            assert np.array_equal(table, expected.numpy())
        maps, expected_maps = (
            native.coarsen(keys, packing, coarse),
            torch_maps.coarsen(torch.from_numpy(keys), packing, coarse),
        )
        for built, expected in zip(maps, expected_maps, strict=True):
            assert np.array_equal(built, expected.numpy())
        table = native.parent_table(*maps[1:3])
        assert np.array_equal(table, torch_maps.parent_table(*expected_maps[1:3]).numpy())


@pytest.mark.parametrize("columns", [3, 4])
@pytest.mark.parametrize("count", [1, 2, 5000])
def test_native_and_torch_keys_are_equal(count, columns, threads):
    packing, rng = Packing.around((50, 60, 70)), np.random.default_rng(count)
    coords = rng.integers(-9, 50, (count, columns))
    in_order = np.stack(packing.unpack(np.unique(packing.pack(coords))), axis=1)[:, :columns]
    for each in (coords, np.ascontiguousarray(in_order)):
        tensor = torch.from_numpy(each)
        extent, (keys, increasing) = torch_maps.extent(tensor), torch_maps.pack(tensor, packing)
        for number in (1, 2, 3):
            threads(number)
            assert native.extent(each) == extent
            ours, ordered = native.pack(each, packing)
            assert np.array_equal(ours, keys.numpy())
            assert ordered == increasing
