"""Points into sites and back on arrays, against the same on tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kidneyseg.sparse import native
from kidneyseg.sparse.layers import InputLayer, OutputLayer
from kidneyseg.sparse.sites import merge, spread

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
@pytest.mark.parametrize("edge", [4, 400])  # many points on a site, or one
def test_arrays_are_merged_as_tensors_are(mode: int, edge: int) -> None:
    rng = np.random.default_rng(0)
    coords, features = rng.integers(0, edge, (500, 3)), rng.normal(size=(500, 2)).astype(np.float32)
    level, merged, rows = merge(coords, features, mode)
    x, expected_rows = InputLayer(mode)(torch.from_numpy(coords), torch.from_numpy(features))
    assert rows is not None
    assert expected_rows is not None
    assert np.array_equal(level.keys, x.level.keys)
    assert np.array_equal(rows, expected_rows.numpy())
    np.testing.assert_allclose(merged, x.features.numpy(), rtol=1e-6, atol=1e-6)
    absent = np.array([7.0, 8.0], np.float32)
    expected = OutputLayer()(x, expected_rows, torch.from_numpy(absent))
    np.testing.assert_allclose(spread(merged, rows, absent), expected.numpy(), rtol=1e-6, atol=1e-6)


def test_coordinates_of_32_bits_are_merged_alike() -> None:
    rng = np.random.default_rng(0)
    coords, features = rng.integers(0, 400, (500, 3)), rng.normal(size=(500, 2)).astype(np.float32)
    wide, narrow = merge(coords, features, 3), merge(coords.astype(np.int32), features, 3)
    assert np.array_equal(wide[0].keys, narrow[0].keys)
    assert np.array_equal(wide[1], narrow[1])


def test_points_in_order_are_not_copied() -> None:
    coords, features = np.argwhere(np.ones((3, 3, 3))), np.ones((27, 1), np.float32)
    _, merged, rows = merge(coords, features, 4)
    assert merged is features
    assert rows is None


@pytest.mark.parametrize(
    ("coords", "says"),
    [([[0, -1, 0]], "negative"), ([[0, 64, 0]], "outside the spatial size 64"), ([[0, 0, 0], [0, 0, 0]], "mode 0")],
)
def test_bad_points_are_refused(coords: list[list[int]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        merge(np.array(coords), np.zeros((len(coords), 1), np.float32), 0, 64)
