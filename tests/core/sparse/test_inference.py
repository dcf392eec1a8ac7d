"""The fused forward pass against the same network layer by layer."""

import pytest
import torch

from kidneyseg.sparse import native
from kidneyseg.sparse.layers import BatchNormReLU
from random_networks import LAYOUTS, points, trained

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


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
