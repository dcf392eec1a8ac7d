"""The fused forward pass against the same network layer by layer."""

import numpy as np
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


def test_passes_time_their_maps_and_convolutions(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr("kidneyseg.sparse.passes.time.perf_counter", lambda: float(next(clock)))
    network, (coords, features) = trained(planes=[4, 6]), points()
    runner = network.arrays.runner()
    for passes in (1, 2):
        runner(coords.numpy(), features.numpy(), report=lambda _: None)
        convolutions = len(network.layout.convolutions)
        # Each part is timed by itself, one tick of this clock each: merging, the coarser level, and every plan.
        assert (runner.seconds.maps, runner.seconds.convolutions) == (
            passes * (2 + convolutions),
            passes * convolutions,
        )


@pytest.mark.parametrize("slabs", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("edge", [1, 9, 14, 16, 32])
def test_the_second_side_is_the_mirror_image_bit_for_bit(layout, edge, slabs, monkeypatch):
    network = trained(**layout).arrays
    coords, features = torch.randint(0, edge, (900, 3)).numpy(), torch.randn(900, 3).numpy()
    coords[0] = edge - 1
    image = coords.copy()
    image[:, 0] = edge - 1 - image[:, 0]
    expected = [network.runner()(places, features, report=lambda _: None) for places in (coords, image)]
    if slabs:
        monkeypatch.setattr("kidneyseg.sparse.passes._MOST_SITES", 60)
        monkeypatch.setattr("kidneyseg.sparse.passes._SLAB_SITES", 40)
    shares = []
    found = list(network.runner().of_both_sides(coords, features, report=shares.append))
    assert all(map(np.array_equal, found, expected))
    assert len(found) == 2
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert slabs or len(shares) == 2 * len(network.layout.convolutions)


def test_the_second_side_makes_no_map_of_the_finest_sites(monkeypatch):
    network = trained(planes=[4, 6, 8]).arrays
    sides = network.runner().of_both_sides(*(part.numpy()[:, :3] for part in points()), report=lambda _: None)
    next(sides)
    made, make = [], native.Plan.of_neighbours
    monkeypatch.setattr(native.Plan, "of_neighbours", lambda keys, *more: made.append(len(keys)) or make(keys, *more))
    next(sides)
    assert len(made) == 0, "an edge of 12 is a whole number of cells of the coarsest level"
