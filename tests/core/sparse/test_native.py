"""The native kernels against loops over their definition, on every instruction set of this processor."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kidneyseg.sparse import memory, native
from kidneyseg.sparse.kernel_map import Level, Packing
from kidneyseg.sparse.native import Plan
from random_sites import sites

pytestmark = [
    pytest.mark.skipif(not native.available(), reason=native.reason()),
    pytest.mark.usefixtures("threads"),
]


def floats(*shape: int) -> NDArray[Any]:
    return torch.randn(shape).numpy()


def tables(keys: NDArray[Any], packing: Packing) -> dict[str, NDArray[Any]]:
    """Tables of every kind: submanifold filters, children, and random rows."""
    random = np.random.default_rng(0).integers(-1, max(len(keys), 1), (len(keys), 27)).astype(np.int32)
    return {
        **{f"{s}³": native.neighbour_table(keys, packing.y_size, packing.z_size, s) for s in (1, 3, 5)},
        "children": native.coarsen(keys, packing, packing.coarser())[3],
        "random": random,
    }


def naive_conv(x: NDArray[Any], table: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    out = np.zeros((len(table), weight.shape[2]))
    for k in range(table.shape[1]):
        hit = table[:, k] >= 0
        out[hit] += x[table[hit, k]].astype(float) @ weight[k].astype(float)
    return out


def naive_weight_grad(x: NDArray[Any], table: NDArray[Any], grad: NDArray[Any]) -> NDArray[Any]:
    out = np.zeros((table.shape[1], x.shape[1], grad.shape[1]))
    for k in range(table.shape[1]):
        hit = table[:, k] >= 0
        out[k] = x[table[hit, k]].astype(float).T @ grad[hit].astype(float)
    return out


def assert_close(actual: NDArray[Any], expected: NDArray[Any]) -> None:
    assert actual.shape == expected.shape
    if expected.size:
        assert np.abs(actual - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


CHANNELS = [(1, 16), (3, 2), (7, 13), (16, 16), (33, 40), (16, 50)]


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("count", [0, 1, 7, 700])
@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
def test_convolution_and_its_weight_gradient_match_their_definition(count, in_channels, out_channels):
    keys, packing = sites(count, edge=9)
    for table in tables(keys, packing).values():
        x, grad = floats(len(keys), in_channels), floats(len(table), out_channels)
        weight = floats(table.shape[1], in_channels, out_channels)
        plan = Plan.of_table(table)
        assert_close(native.conv(x, plan, weight), naive_conv(x, table, weight))
        assert_close(native.weight_grad(x, plan, grad), naive_weight_grad(x, table, grad))


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("count", [0, 1, 2000])
def test_a_plan_of_neighbours_is_that_of_their_table(count, size):
    keys, packing = sites(count, edge=11)
    where = (keys, packing.y_size, packing.z_size, size)
    x, weight = floats(len(keys), 5), floats(size**3, 5, 7)
    from_table = native.conv(x, Plan.of_table(native.neighbour_table(*where)), weight)
    assert np.array_equal(native.conv(x, Plan.of_neighbours(*where), weight), from_table)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
def test_convolution_from_parents_and_its_weight_gradient_match_their_definition(in_channels, out_channels):
    for count in (0, 1, 1500):
        keys, packing = sites(count, edge=12)
        coarse, parent, slot, _ = native.coarsen(keys, packing, packing.coarser())
        x, weight = floats(len(coarse), in_channels), floats(8, in_channels, out_channels)
        table = Level(keys, packing, native).down().parents.table
        plan, grad = Plan.of_parents(parent, slot), floats(len(keys), out_channels)
        assert_close(native.conv(x, plan, weight), naive_conv(x, table, weight))
        assert_close(native.weight_grad(x, plan, grad), naive_weight_grad(x, table, grad))


def test_weights_may_be_transposed_views():
    keys, packing = sites(800, edge=9)
    plan = Level(keys, packing, native).neighbours().plan
    x, weight = floats(len(keys), 12), floats(27, 20, 12)
    assert np.array_equal(
        native.conv(x, plan, weight.transpose(0, 2, 1)), native.conv(x, plan, weight.transpose(0, 2, 1).copy())
    )


@pytest.mark.usefixtures("instructions")
def test_fused_outputs_go_through_norm_and_relu_into_columns():
    keys, packing = sites(900, edge=9)
    table = tables(keys, packing)["3³"]
    wide = floats(len(keys), 19)
    x, weight = wide[:, 2:9], floats(27, 7, 13)
    scale, shift = floats(13), floats(13)
    raw, joined = floats(len(keys), 13), np.full((len(keys), 20), 5.0, np.float32)
    expected = naive_conv(x, table, weight) + raw
    targets = [native.Target(raw), native.Target(joined[:, 4:17], scale, shift, 0.25)]
    native.conv_into(x, Plan.of_table(table), weight, targets, start=raw)
    assert_close(raw, expected)
    normed = raw * scale + shift
    assert_close(joined[:, 4:17], np.where(normed < 0, 0.25 * normed, normed))
    assert (joined[:, :4] == 5).all()
    assert (joined[:, 17:] == 5).all()


@pytest.mark.usefixtures("instructions")
def test_a_large_result_is_the_same_whether_it_bypasses_the_caches_or_not(threads):
    keys, packing = sites(70_000, edge=64)
    count = len(keys)
    plan, x, weight = Level(keys, packing, native).neighbours().plan, floats(count, 3), floats(27, 3, 32)
    scale, shift = floats(32), floats(32)
    aligned, shifted = memory.empty(count, 64), memory.empty(count * 64 + 1, 1)[1:].reshape(count, 64)
    for rows, number in ((aligned, 8), (shifted, 1)):
        threads(number)
        targets = [native.Target(rows[:, :32]), native.Target(rows[:, 32:], scale, shift, 0.1)]
        native.conv_into(x, plan, weight, targets)
    assert np.array_equal(aligned, shifted)
    assert np.array_equal(aligned[:, :32], native.conv(x, plan, weight))


def mirror_image(keys: NDArray[Any], packing: Packing, extent: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The sites' rows in the order of their mirror image along x, and its keys."""
    x, y, z, _ = packing.unpack(keys)
    image = packing.pack(np.stack([extent - 1 - x, y, z], axis=1))
    order = np.argsort(image)
    return order, image[order]


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
def test_a_mirrored_convolution_is_that_of_the_mirror_image_bit_for_bit(in_channels, out_channels):
    packing = Packing.around((12, 9, 9))  # even along x: the pairs of cells are the same from both ends
    keys = np.unique(packing.pack(np.random.default_rng(3).integers(0, (12, 9, 9), (700, 3))))
    fine, image = mirror_image(keys, packing, 12)
    here, there = Level(keys, packing, native), Level(image, packing, native)
    rough, image = mirror_image(here.down().coarse.keys, packing.coarser(), 6)
    assert np.array_equal(image, there.down().coarse.keys)
    maps = {
        27: (here.neighbours().plan, there.neighbours().plan, fine, fine),
        125: (here.neighbours(5).plan, there.neighbours(5).plan, fine, fine),
        1: (here.neighbours(1).plan, there.neighbours(1).plan, fine, fine),
        8: (here.down().children.plan, there.down().children.plan, fine, rough),
        -8: (here.down().parents.plan, there.down().parents.plan, rough, fine),
    }
    for volume, (ours, theirs, read, written) in maps.items():
        x, weight = floats(ours.inputs, in_channels), floats(abs(volume), in_channels, out_channels)
        expected, found = (np.empty((plan.rows, out_channels), np.float32) for plan in (theirs, ours))
        native.conv_into(x[read], theirs, weight, [native.Target(expected)])
        native.conv_into(x, ours, weight, [native.Target(found)], mirrored=True)
        assert_close(found[written], expected)
        # A row of a filter of 5 may have two segments along z, and a tile decides which of them comes first.
        assert volume == 125 or np.array_equal(found[written], expected), volume
