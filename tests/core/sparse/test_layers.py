"""Corner cases of sites and layers, and what a checkpoint may look like."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kidneyseg.errors import ModelError
from kidneyseg.sparse import SparseUNet, from_sparseconvnet, load_sparseconvnet_file, native, to_sparseconvnet
from kidneyseg.sparse.kernel_map import Level, Packing, coarsen, neighbour_table
from kidneyseg.sparse.layers import BatchNormReLU, InputLayer, OutputLayer, SparseTensor


def network(**changes: object) -> SparseUNet:
    torch.manual_seed(0)
    return SparseUNet(**{"in_channels": 3, "classes": 2, "planes": [4, 8, 12], **changes})  # type: ignore[arg-type]


def test_no_points_give_no_logits(kernels: torch.device) -> None:
    coords, features = torch.zeros(0, 4, dtype=torch.int64, device=kernels), torch.zeros(0, 3, device=kernels)
    assert network().to(kernels)(coords, features).shape == (0, 2)


def test_one_point(kernels: torch.device) -> None:
    coords, features = torch.tensor([[5, 6, 7, 0]], device=kernels), torch.ones(1, 3, device=kernels)
    logits = network().eval().to(kernels)(coords, features)
    assert logits.shape == (1, 2)
    assert torch.isfinite(logits).all()


def test_one_point_can_be_trained_on(kernels: torch.device) -> None:
    net = network().train().to(kernels)
    coords, features = torch.tensor([[5, 6, 7, 0]], device=kernels), torch.ones(1, 3, device=kernels)
    net(coords, features).sum().backward()
    assert torch.isfinite(net.stem.weight.grad).all()


def test_three_columns_are_one_batch_item(kernels: torch.device) -> None:
    net, coords = network().eval().to(kernels), torch.randint(0, 9, (50, 3), device=kernels)
    with_batch = torch.cat([coords, torch.zeros_like(coords[:, :1])], dim=1)
    features = torch.randn(50, 3, device=kernels)
    assert torch.equal(net(coords, features), net(with_batch, features))


def test_batch_items_do_not_mix(kernels: torch.device) -> None:
    net, coords = network().eval().to(kernels), torch.randint(0, 9, (50, 3), device=kernels)
    features = torch.randn(50, 3, device=kernels)
    twice = torch.cat([torch.cat([coords, torch.full_like(coords[:, :1], i)], dim=1) for i in (0, 1)])
    logits = net(twice, torch.cat([features, torch.randn(50, 3, device=kernels)]))
    torch.testing.assert_close(logits[:50], net(coords, features))


@pytest.mark.parametrize(
    ("coords", "features", "size", "says"),
    [
        (torch.tensor([[0, -1, 0, 0]]), torch.zeros(1, 3), None, "negative"),
        (torch.tensor([[0, 64, 0, 0]]), torch.zeros(1, 3), 64, "outside the spatial size 64"),
        (torch.zeros(1, 4), torch.zeros(1, 3), None, "int64"),
        (torch.zeros(1, 5, dtype=torch.int64), torch.zeros(1, 3), None, r"\(N, 3\) or \(N, 4\)"),
        (torch.zeros(2, 4, dtype=torch.int64), torch.zeros(1, 3), None, "one row per coordinate"),
        (torch.tensor([[2**40, 2**40, 0, 0]]), torch.zeros(1, 3), None, "more cells than"),
    ],
)
def test_bad_input_is_refused(coords: torch.Tensor, features: torch.Tensor, size: int | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        network()(coords, features, size)


def test_mode_0_refuses_duplicates() -> None:
    with pytest.raises(ValueError, match="mode 0"):
        InputLayer(0)(torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 1))


@pytest.mark.parametrize(("mode", "expected"), [(1, [1.0, 0.0, 4.0]), (2, [0.0, 2.0, 4.0]), (3, [3.0, 3.0, 4.0])])
def test_duplicates_by_mode(kernels: torch.device, mode: int, expected: list[float]) -> None:
    coords = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]], device=kernels)
    x, rows = InputLayer(mode)(coords, torch.tensor([[1.0], [2.0], [4.0]], device=kernels))
    assert OutputLayer()(x, rows)[:, 0].tolist() == expected


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_points_get_their_gradients_back(kernels: torch.device, mode: int) -> None:
    coords = torch.randint(0, 3, (60, 3), device=kernels)
    features = torch.randn(60, 2, dtype=torch.float64, device=kernels, requires_grad=True)

    def back_and_forth(features: torch.Tensor) -> torch.Tensor:
        x, rows = InputLayer(mode)(coords, features)
        out: torch.Tensor = OutputLayer()(x, rows)
        return out

    assert torch.autograd.gradcheck(back_and_forth, (features,))


def test_far_coordinates_cost_nothing(kernels: torch.device) -> None:
    coords = torch.tensor([[0, 0, 0, 0], [100_000, 100_000, 100_000, 3]], device=kernels)
    assert network().eval().to(kernels)(coords, torch.randn(2, 3, device=kernels)).shape == (2, 2)


def test_norm_of_a_single_row_keeps_the_variance(kernels: torch.device) -> None:
    norm = BatchNormReLU(2).train().to(kernels)
    level = Level(torch.zeros(1, dtype=torch.int64, device=kernels), Packing.around((1, 1, 1)))
    y = norm(SparseTensor(torch.tensor([[3.0, -3.0]], device=kernels), level))
    assert y.features.tolist() == [[0.0, 0.0]]
    assert norm.running_var.tolist() == [1.0, 1.0]
    torch.testing.assert_close(norm.running_mean.cpu(), torch.tensor([0.03, -0.03]))


@pytest.mark.skipif(not native.available(), reason=native.reason())
@pytest.mark.parametrize("size", [1, 3, 5])
def test_native_and_torch_rulebooks_agree(size: int) -> None:
    packing = Packing.around((20, 21, 22))
    coords = torch.stack([torch.randint(0, n, (3000,)) for n in (20, 21, 22, 2)], dim=1)
    keys = packing.pack(coords).unique()
    ours = native.neighbour_table(keys, packing.y_size, packing.z_size, size)
    assert torch.equal(ours, neighbour_table(keys, packing.y_size, packing.z_size, size))
    for a, b in zip(
        native.coarsen(keys, packing, packing.coarser()), coarsen(keys, packing, packing.coarser()), strict=True
    ):
        assert torch.equal(a, b)


def test_filters_wider_than_the_padding_are_refused() -> None:
    with pytest.raises(ValueError, match="1, 3 or 5"):
        Level(torch.zeros(1, dtype=torch.int64), Packing.around((1, 1, 1))).neighbours(7)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("reps", [1, 2])
@pytest.mark.parametrize("final_norm", [False, True])
@pytest.mark.parametrize("planes", [[4], [4, 8], [4, 6, 10]])
def test_any_layout_round_trips(residual: bool, reps: int, final_norm: bool, planes: list[int]) -> None:
    net = network(planes=planes, residual=residual, block_reps=reps, final_norm=final_norm).eval()
    back = from_sparseconvnet(to_sparseconvnet(net))
    assert back.config == net.config
    coords, features = torch.randint(0, 12, (200, 3)), torch.randn(200, 3)
    assert torch.equal(net(coords, features), back(coords, features))


@pytest.mark.parametrize("shape", ["(27, in, out)", "(27 * in, out)"])
def test_older_weight_layouts(shape: str) -> None:
    net = network().eval()
    state = {}
    for name, value in to_sparseconvnet(net).items():
        old = value.reshape(value.shape[0], *value.shape[2:]) if value.ndim == 4 else value
        if old.ndim == 3 and shape == "(27 * in, out)":
            old = old.flatten(0, 1)
        state[name.replace("running_mean", "runningMean").replace("running_var", "runningVar")] = old
    back = from_sparseconvnet(state)
    assert all(torch.equal(a, b) for a, b in zip(back.state_dict().values(), net.state_dict().values(), strict=True))


def test_a_state_dict_of_something_else() -> None:
    with pytest.raises(ModelError, match="not a SparseConvNet U-Net"):
        from_sparseconvnet({"weight": torch.zeros(3)})


def test_missing_and_left_over_entries_are_named() -> None:
    state = to_sparseconvnet(network())
    state["extra"] = torch.zeros(1)
    with pytest.raises(ModelError, match=r"left over.*extra"):
        from_sparseconvnet(state)


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path(tmp_path / "ran").touch, ())  # type: ignore[return-value]

    torch.save({"a": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(ModelError, match="plain tensors"):
        load_sparseconvnet_file(tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()
