"""Networks on SparseConvNet, by way of a stand-in with its interface."""

from __future__ import annotations

import sys
from importlib.util import spec_from_loader
from pathlib import Path

import numpy as np
import pytest
import torch

import fake_sparseconvnet
from kidneyseg.errors import ResourceError
from kidneyseg.sparse import SparseUNet, load_sparseconvnet_file
from kidneyseg.sparse.backends import has_sparseconvnet
from kidneyseg.sparse.scn_backend import GRID, SparseConvNetUNet, on_backend


@pytest.fixture
def scn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package were installed."""
    monkeypatch.setitem(sys.modules, "sparseconvnet", fake_sparseconvnet)
    monkeypatch.setattr(fake_sparseconvnet, "__spec__", spec_from_loader("sparseconvnet", None))


def points(count: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 12, (count, 3), generator=generator), torch.randn(count, 2, generator=generator)


@pytest.mark.usefixtures("scn")
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("final_norm", [False, True])
@pytest.mark.parametrize("mode", [3, 4])
def test_the_same_weights_give_the_same_scores(residual: bool, final_norm: bool, mode: int) -> None:
    torch.manual_seed(0)
    network = SparseUNet(
        2, 3, [4, 6, 8], block_reps=2, residual=residual, final_norm=final_norm, input_mode=mode
    ).eval()
    theirs = on_backend(network, "sparseconvnet")
    assert isinstance(theirs, SparseConvNetUNet)
    assert theirs.config == network.config
    shares: list[float] = []
    with torch.inference_mode():
        torch.testing.assert_close(theirs(*points(), report=shares.append), network(*points()), rtol=1e-4, atol=1e-5)
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.usefixtures("scn")
def test_no_points_and_points_outside_the_grid() -> None:
    theirs = on_backend(SparseUNet(2, 3, [4, 6]).eval(), "sparseconvnet")
    assert theirs(torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, 2)).shape == (0, 3)
    for beyond in (-1, GRID):
        with pytest.raises(ValueError, match=f"0 ... {GRID - 1}"):
            theirs(torch.tensor([[0, 0, beyond]]), torch.zeros(1, 2))


@pytest.mark.usefixtures("scn")
@pytest.mark.parametrize("name", ["unet_plain_m8_dense", "unet_residual_m8", "unet_plain_m16"])
def test_the_stand_in_has_the_names_and_outputs_of_the_real_one(golden_dir: Path, name: str) -> None:
    arrays = np.load(golden_dir / f"{name}.npz")
    theirs = on_backend(load_sparseconvnet_file(golden_dir / f"{name}.pth"), "sparseconvnet")
    state = torch.load(golden_dir / f"{name}.pth", weights_only=True)
    assert theirs.model.state_dict().keys() == state.keys()
    logits = theirs(torch.from_numpy(arrays["coords"]), torch.from_numpy(arrays["features"]))
    golden = torch.from_numpy(arrays["eval_logits"])
    assert (logits - golden).abs().max() < 1e-4 * golden.abs().max()


def test_auto_is_the_network_itself() -> None:
    network = SparseUNet(2, 3, [4])
    assert on_backend(network, "auto") is network
    with pytest.raises(ResourceError, match="choose auto or sparseconvnet"):
        on_backend(network, "abacus")


@pytest.mark.skipif(has_sparseconvnet(), reason="SparseConvNet is installed here")
def test_without_the_package_the_error_says_how_to_get_it() -> None:
    with pytest.raises(ResourceError, match="not installed here; build it"):
        on_backend(SparseUNet(2, 3, [4]), "sparseconvnet")
