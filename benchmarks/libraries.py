"""The interface of a timed library, and our native and torch kernels behind it."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from kidneyseg.sparse import SparseUNet, native
from kidneyseg.sparse.layers import BatchNormReLU, InputLayer, SubmanifoldConv
from kidneyseg.version import __version__

Kind = Literal["inference", "maps", "training", "layer"]
CLASSES = 3


@dataclass(frozen=True)
class Case:
    """One thing to time."""

    kind: Kind  #: "inference" of a plain U-Net, its kernel "maps" alone, one "training" step, or a single "layer"
    coords: Path  #: .npy of int64 (N, 4), distinct sites in lexicographic order
    sites: int  #: N
    planes: tuple[int, ...]  #: the U-Net's channels by level; a layer has planes[0] in and out
    in_channels: int = 3  #: of the features
    threads: int = 1  #: for torch and every library that respects OMP_NUM_THREADS
    avx2: bool = False  #: limit our kernels, torch, MKL and oneDNN to AVX2


class Library(ABC):
    """How one library runs a case. Weights and features are the same for every library."""

    version: str  #: name and version

    def prepare(self, case: Case) -> None:
        """Make the weights, the features and the library's model."""
        self.case = case
        self.coords = torch.from_numpy(np.load(case.coords))
        torch.manual_seed(0)
        self.features = torch.randn(len(self.coords), case.in_channels)
        if case.kind == "layer":
            self.weight = SubmanifoldConv(case.planes[0], case.planes[0]).weight
            self.model: nn.Module = self.layer()
        else:
            self.network = _network(case)
            self.model = self.unet().train(case.kind == "training")

    @abstractmethod
    def unet(self) -> nn.Module:
        """The library's model of `self.network`."""

    @abstractmethod
    def layer(self) -> nn.Module:
        """The library's model of one submanifold convolution with `self.weight` (27, 1, C, C)."""

    @abstractmethod
    def sites(self) -> Any:
        """The features on their sites, without any kernel map."""

    @abstractmethod
    def forward(self, sites: Any) -> Tensor:
        """One pass. The first pass over these `sites` makes the kernel maps and stores them there."""

    @abstractmethod
    def stem_gradient(self) -> Tensor:
        """(27, 1, in, out): the gradient of the first convolution's weight after a training step."""

    def in_order(self, rows: Tensor) -> Tensor:
        """The rows of `forward` in the order of the coordinates."""
        return rows

    def measure(self) -> dict[str, float]:
        """Seconds in total and, except in training, of the kernel maps and of the network without them."""
        started = time.perf_counter()
        if self.case.kind == "training":
            self.model.zero_grad()
            out = self.forward(self.sites())
            out.square().mean().backward()
            self.result = out.detach()
            return {"total": time.perf_counter() - started}
        with torch.inference_mode():
            sites = self.sites()
            self.forward(sites)
            first = time.perf_counter()
            self.result = self.forward(sites)
            second = time.perf_counter()
        return {"maps": 2 * first - started - second, "network": second - first, "total": first - started}

    def outcome(self) -> dict[str, Tensor]:
        """What must agree between libraries: outputs and, in training, a gradient."""
        outputs = {} if self.case.kind == "maps" else {"output": self.in_order(self.result)}
        return outputs | ({"gradient": self.stem_gradient()} if self.case.kind == "training" else {})


class Native(Library):
    """Our layers on our native kernels."""

    def __init__(self) -> None:
        self.version = f"kidneyseg {__version__}, {native.instruction_set()}"

    def unet(self) -> nn.Module:
        """The network itself."""
        self._input = self.network.input
        return self.network

    def layer(self) -> nn.Module:
        """One of our layers."""
        self._input = InputLayer()
        layer = SubmanifoldConv(*self.weight.shape[2:])
        layer.weight = self.weight
        return layer

    def sites(self) -> Any:
        """The output of `InputLayer`."""
        return self._input(self.coords, self.features)

    def forward(self, sites: Any) -> Tensor:
        """The forward pass without the input layer."""
        if self.case.kind == "layer":
            return self.model(sites[0]).features
        self.network.input = _FixedSites(sites)
        return self.network(self.coords, self.features)

    def stem_gradient(self) -> Tensor:
        """Of our first layer."""
        assert self.network.stem.weight.grad is not None
        return self.network.stem.weight.grad


class Torch(Native):
    """Our layers on the torch kernels, which are used on a GPU and where the native ones were not built."""

    def __init__(self) -> None:
        native.available = lambda: False  # this process runs nothing else
        self.version = f"kidneyseg {__version__}, torch kernels"


class MatrixProduct:
    """torch.mm of 2048 x 2048 matrices: the processor's practical peak."""

    FLOP = 2 * 2048**3
    version = f"torch {torch.__version__}"

    def prepare(self, _: Case) -> None:
        """Two matrices."""
        torch.manual_seed(0)
        self._a, self._b, self._out = torch.randn(3, 2048, 2048)

    def measure(self) -> dict[str, float]:
        """The median of five: a single product is short."""
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            torch.mm(self._a, self._b, out=self._out)
            seconds.append(time.perf_counter() - started)
        return {"total": statistics.median(seconds)}


class _FixedSites(nn.Module):
    """Replaces the input layer: always returns the same sites, which keep their kernel maps."""

    def __init__(self, sites: Any) -> None:
        super().__init__()
        self._sites = sites

    def forward(self, *_: Any) -> Any:
        return self._sites


def _network(case: Case) -> SparseUNet:
    """A U-Net whose norms are not the identity."""
    network = SparseUNet(case.in_channels, CLASSES, case.planes)
    for norm in network.modules():
        if isinstance(norm, BatchNormReLU):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.2, 0.2)
            nn.init.uniform_(norm.running_mean, -0.2, 0.2)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return network


def with_weight(layer: Any, weight: Tensor, name: str = "weight") -> Any:
    """The layer with its parameter `name` set. Raises ValueError when the shapes differ."""
    parameter = getattr(layer, name)
    if parameter.shape != weight.shape:
        raise ValueError(f"{type(layer).__name__}.{name} is {tuple(parameter.shape)}, not {tuple(weight.shape)}")
    with torch.no_grad():
        parameter.copy_(weight)
    return layer
