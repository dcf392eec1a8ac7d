"""The fused forward pass against the same network layer by layer."""

import pytest
import torch
from torch import Tensor

from kidneyseg.sparse import SparseUNet, memory, native, passes
from kidneyseg.sparse.layers import BatchNormReLU
from kidneyseg.sparse.passes import BufferPool

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


def trained(**layout) -> SparseUNet:
    """A network whose norms are not the identity."""
    torch.manual_seed(1)
    network = SparseUNet(3, 4, **layout)
    for module in network.modules():
        if isinstance(module, BatchNormReLU):
            for vector in (module.weight, module.bias, module.running_mean):
                torch.nn.init.normal_(vector, std=0.5)
            torch.nn.init.uniform_(module.running_var, 0.2, 3.0)
    return network.eval()


def points(count: int = 900) -> tuple[Tensor, Tensor]:
    """Points in random order of two batches, some on one site."""
    return torch.cat([torch.randint(0, 12, (count, 3)), torch.randint(0, 2, (count, 1))], 1), torch.randn(count, 3)


LAYOUTS = {
    "plain": {"planes": [4, 6, 8]},
    "residual": {"planes": [4, 6, 8], "residual": True},
    "plain, two blocks": {"planes": [5, 3], "block_reps": 2},
    "residual, two blocks": {"planes": [4, 6, 8], "block_reps": 2, "residual": True},
    "one level": {"planes": [4]},
    "one level, residual, no final norm": {"planes": [4], "residual": True, "final_norm": False},
    "first of a site": {"planes": [4, 6], "input_mode": 1},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("count", [0, 1, 900])
def test_fused_scores_are_those_of_the_layers(layout, count):
    network, (coords, features) = trained(**layout), points(count)
    by_layers = network(coords, features).detach()  # gradients are on
    with torch.inference_mode():
        fused = network(coords, features)
    on_arrays = network.arrays.runner()(coords.numpy(), features.numpy(), report=lambda _: None)
    for found in (fused, torch.from_numpy(on_arrays)):
        assert found.shape == (count, 4)
        if count:
            assert float((found - by_layers).abs().max()) <= 1e-5 * float(by_layers.abs().max())


def test_fused_is_what_runs_without_gradients(monkeypatch):
    network, (coords, features) = trained(planes=[4, 6]), points()
    monkeypatch.setattr(BatchNormReLU, "forward", lambda *_: pytest.fail("a norm ran by itself"))
    with torch.no_grad():
        network(coords, features)


@pytest.mark.parametrize("gradients", [False, True])
def test_progress_rises_to_one_and_may_cancel(gradients):
    network, (coords, features) = trained(planes=[4, 6], residual=True), points()
    with torch.set_grad_enabled(gradients):
        shares: list[float] = []
        network(coords, features, report=shares.append)
        assert shares == sorted(set(shares))
        assert shares[-1] == 1.0
        assert len(shares) >= 8

        def cancel(_: float) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            network(coords, features, report=cancel)
        assert network(coords, features).shape == (900, 4)


def test_buffers_are_reused_where_they_fit():
    buffers = BufferPool()
    large, small = buffers.take(10, 8), buffers.take(3, 4)
    assert memory.address(large) % 64 == 0
    buffers.put_back(large, small)
    assert memory.address(buffers.take(2, 6)) == memory.address(small)
    assert memory.address(buffers.take(2, 6)) == memory.address(large)
    assert memory.address(buffers.take(2, 6)) not in (memory.address(small), memory.address(large))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("size", [1, 60, 300])
def test_slabs_give_the_same_logits_bit_for_bit(monkeypatch, layout, size):
    network, (coords, features) = trained(**layout), points()
    whole = network.arrays.runner()(coords.numpy(), features.numpy(), report=lambda _: None)
    monkeypatch.setattr(passes, "_MOST_SITES", 1)
    monkeypatch.setattr(passes, "_SLAB_SITES", size)
    shares: list[float] = []
    slabs = network.arrays.runner()(coords.numpy(), features.numpy(), report=shares.append)
    assert slabs.tobytes() == whole.tobytes()
    assert shares == sorted(set(shares))
    assert shares[-1] == 1.0
