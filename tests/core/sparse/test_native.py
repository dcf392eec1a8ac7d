"""The native kernels against loops over their definition, on every instruction set of this processor."""

import pytest
import torch
from torch import Tensor

from kidneyseg.sparse import kernel_map, native
from kidneyseg.sparse.kernel_map import Level, Packing
from kidneyseg.sparse.native import Plan
from random_sites import sites

pytestmark = [
    pytest.mark.skipif(not native.available(), reason=native.reason()),
    pytest.mark.usefixtures("threads"),
]


def tables(keys: Tensor, packing: Packing) -> dict[str, Tensor]:
    """Tables of every kind: submanifold filters, children, and random rows."""
    random = torch.randint(-1, max(len(keys), 1), (len(keys), 27), dtype=torch.int32)
    return {
        **{f"{s}³": kernel_map.neighbour_table(keys, packing.y_size, packing.z_size, s) for s in (1, 3, 5)},
        "children": kernel_map.coarsen(keys, packing, packing.coarser())[3],
        "random": random if len(keys) else random.fill_(-1),
    }


def naive_conv(x: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    out = torch.zeros(len(table), weight.shape[2], dtype=torch.float64)
    for k in range(table.shape[1]):
        hit = table[:, k] >= 0
        out[hit] += x[table[hit, k].long()].double() @ weight[k].double()
    return out


def naive_weight_grad(x: Tensor, table: Tensor, grad: Tensor) -> Tensor:
    out = torch.zeros(table.shape[1], x.shape[1], grad.shape[1], dtype=torch.float64)
    for k in range(table.shape[1]):
        hit = table[:, k] >= 0
        out[k] = x[table[hit, k].long()].double().T @ grad[hit].double()
    return out


def assert_close(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    if expected.numel():
        assert float((actual - expected).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))


CHANNELS = [(1, 16), (3, 2), (7, 13), (16, 16), (33, 40), (16, 50)]


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("count", [0, 1, 7, 700])
@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
def test_convolution_and_its_weight_gradient_match_their_definition(count, in_channels, out_channels):
    keys, packing = sites(count, edge=9)
    for table in tables(keys, packing).values():
        x, grad = torch.randn(len(keys), in_channels), torch.randn(len(table), out_channels)
        weight = torch.randn(table.shape[1], in_channels, out_channels)
        plan = Plan.of_table(table)
        assert_close(native.conv(x, plan, weight), naive_conv(x, table, weight))
        assert_close(native.weight_grad(x, plan, grad), naive_weight_grad(x, table, grad))


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("count", [0, 1, 2000])
def test_a_plan_of_neighbours_is_that_of_their_table(count, size):
    keys, packing = sites(count, edge=11)
    where = (keys, packing.y_size, packing.z_size, size)
    x, weight = torch.randn(len(keys), 5), torch.randn(size**3, 5, 7)
    from_table = native.conv(x, Plan.of_table(kernel_map.neighbour_table(*where)), weight)
    assert torch.equal(native.conv(x, Plan.of_neighbours(*where), weight), from_table)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
def test_convolution_from_parents_and_its_weight_gradient_match_their_definition(in_channels, out_channels):
    for count in (0, 1, 1500):
        keys, packing = sites(count, edge=12)
        coarse, parent, slot, _ = kernel_map.coarsen(keys, packing, packing.coarser())
        x, weight = torch.randn(len(coarse), in_channels), torch.randn(8, in_channels, out_channels)
        table = Level(keys, packing).down().parents.table
        plan, grad = Plan.of_parents(parent, slot), torch.randn(len(keys), out_channels)
        assert_close(native.conv(x, plan, weight), naive_conv(x, table, weight))
        assert_close(native.weight_grad(x, plan, grad), naive_weight_grad(x, table, grad))


def test_weights_may_be_transposed_views():
    keys, packing = sites(800, edge=9)
    plan = Level(keys, packing).neighbours().plan
    x, weight = torch.randn(len(keys), 12), torch.randn(27, 20, 12)
    assert torch.equal(
        native.conv(x, plan, weight.transpose(1, 2)), native.conv(x, plan, weight.transpose(1, 2).contiguous())
    )


@pytest.mark.usefixtures("instructions")
def test_fused_outputs_go_through_norm_and_relu_into_columns():
    keys, packing = sites(900, edge=9)
    table = tables(keys, packing)["3³"]
    wide = torch.randn(len(keys), 19)
    x, weight = wide[:, 2:9], torch.randn(27, 7, 13)
    scale, shift = torch.randn(13), torch.randn(13)
    raw, joined = torch.randn(len(keys), 13), torch.full((len(keys), 20), 5.0)
    expected = naive_conv(x, table, weight) + raw
    targets = [native.Target(raw), native.Target(joined[:, 4:17], scale, shift, 0.25)]
    native.conv_into(x, Plan.of_table(table), weight, targets, start=raw)
    assert_close(raw, expected)
    assert_close(joined[:, 4:17], torch.nn.functional.leaky_relu(raw * scale + shift, 0.25))
    assert (joined[:, :4] == 5).all()
    assert (joined[:, 17:] == 5).all()


@pytest.mark.usefixtures("instructions")
def test_a_large_result_is_the_same_whether_it_bypasses_the_caches_or_not(threads):
    keys, packing = sites(70_000, edge=64)
    count = len(keys)
    plan, x, weight = Level(keys, packing).neighbours().plan, torch.randn(count, 3), torch.randn(27, 3, 32)
    scale, shift = torch.randn(32), torch.randn(32)
    aligned, shifted = torch.empty(count, 64), torch.empty(count * 64 + 1)[1:].view(count, 64)
    for rows, number in ((aligned, 8), (shifted, 1)):
        threads(number)
        targets = [native.Target(rows[:, :32]), native.Target(rows[:, 32:], scale, shift, 0.1)]
        native.conv_into(x, plan, weight, targets)
    assert torch.equal(aligned, shifted)
    assert torch.equal(aligned[:, :32], native.conv(x, plan, weight))
