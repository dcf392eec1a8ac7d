"""Networks on SparseConvNet, where it is installed.

The tests run the adapter to SparseConvNet on a stand-in with the same interface. A run with the real package is in
docs/explanation/sparse-convolutions.md.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from kidneyseg.sparse.backends import check_backend
from kidneyseg.sparse.sparseconvnet import to_sparseconvnet
from kidneyseg.sparse.unet import SparseUNet

# SparseConvNet hashes its sites, so that a large grid costs nothing. Its size must be divisible by 2 at each level.
GRID = 4096


def on_backend(network: SparseUNet, backend: str) -> SparseUNet | SparseConvNetUNet:
    """The network for a backend: itself for "auto", a copy with the same weights for "sparseconvnet".

    Raises:
        ResourceError: see `check_backend`.
    """
    return SparseConvNetUNet(network) if check_backend(backend) == "sparseconvnet" else network


class SparseConvNetUNet(nn.Module):
    """A copy of a `SparseUNet` that runs on SparseConvNet, with the same call.

    Attributes:
        config: of the `SparseUNet`.
        model: the SparseConvNet model, as in its ScanNet example.
    """

    def __init__(self, network: SparseUNet) -> None:
        super().__init__()
        self.config = network.config
        self.model = sparseconvnet_model(network)
        self.eval()

    def forward(
        self,
        coords: Tensor,
        features: Tensor,
        spatial_size: int | None = None,
        *,
        report: Callable[[float], None] = lambda _: None,
    ) -> Tensor:
        """Logits of every point; see `SparseUNet.forward`.

        Raises:
            ValueError: for coordinates that are negative or outside the grid.
        """
        end = min(GRID, spatial_size or GRID)
        if len(coords) == 0:
            return features.new_zeros(0, self.config["classes"])
        if not 0 <= int(coords[:, :3].amin()) <= int(coords[:, :3].amax()) < end:
            raise ValueError(f"coords must lie in 0 ... {end - 1}")
        layers = list(self.model.sparseModel.children())
        x: Any = [coords, features]
        for done, layer in enumerate(layers, start=1):
            x = layer(x)
            report(done / len(layers))
        logits: Tensor = self.model.linear(x)
        return logits


def sparseconvnet_model(network: SparseUNet) -> Any:
    """A SparseConvNet model (`sparseModel`, `linear`) with the network's weights, in its train or eval mode."""
    scn, config = import_module("sparseconvnet"), network.config
    planes = config["planes"]
    model = nn.Module()
    layers = scn.Sequential()
    layers.add(scn.InputLayer(3, torch.LongTensor([GRID] * 3), mode=config["input_mode"]))
    layers.add(scn.SubmanifoldConvolution(3, config["in_channels"], planes[0], 3, False))
    layers.add(scn.UNet(3, config["block_reps"], planes, config["residual"]))
    if config["final_norm"]:
        layers.add(scn.BatchNormReLU(planes[0]))
    layers.add(scn.OutputLayer(3))
    model.sparseModel = layers
    model.linear = nn.Linear(planes[0], config["classes"])
    model.load_state_dict(to_sparseconvnet(network))
    return model.train(network.training)
