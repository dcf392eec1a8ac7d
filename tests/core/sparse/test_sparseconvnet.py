"""SparseConvNet checkpoints: round trips, older layouts, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kidneyseg.errors import ModelError
from kidneyseg.sparse import SparseUNet, from_sparseconvnet, load_sparseconvnet_file, to_sparseconvnet


def network(**changes: object) -> SparseUNet:
    torch.manual_seed(0)
    return SparseUNet(**{"in_channels": 3, "classes": 2, "planes": [4, 8, 12], **changes})  # type: ignore[arg-type]


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
