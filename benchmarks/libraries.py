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
from kidneyseg.sparse.inference import NativeUNet
from kidneyseg.sparse.kernel_map import KernelMap, ParentMap
from kidneyseg.sparse.layers import BatchNormReLU, InputLayer, SubmanifoldConv
from kidneyseg.sparse.passes import make_maps
from kidneyseg.sparse.sites import merge, spread
from kidneyseg.version import __version__

Kind = Literal["inference", "maps", "training", "layer"]
CLASSES = 3


@dataclass(frozen=True)
class Case:
    """One thing to time."""

    kind: Kind  #: "inference" of a plain U-Net, the kernel "maps" of one, one "training" step, or a single "layer"
    coords: Path  #: .npy of int64 (N, 4), distinct sites in lexicographic order
    sites: int  #: N
    planes: tuple[int, ...]  #: the U-Net's channels by level; a layer has planes[0] in and out
    in_channels: int = 3  #: of the features
    threads: int = 1  #: for torch and every library that respects OMP_NUM_THREADS
    avx2: bool = False  #: limit our kernels, torch, MKL and oneDNN to AVX2
    shuffled: bool = False  #: whether the library gets the sites in random order


class Library(ABC):
    """How one library runs a case. Weights and features are the same for every library."""

    version: str  #: name and version

    def prepare(self, case: Case) -> None:
        """Make the weights, the features and the library's model."""
        self.case = case
        self.coords = torch.from_numpy(np.load(case.coords))
        torch.manual_seed(0)
        self.features = torch.randn(len(self.coords), case.in_channels)
        if case.shuffled:
            self._order = torch.randperm(len(self.coords), generator=torch.Generator().manual_seed(1))
            self.coords, self.features = self.coords[self._order], self.features[self._order]
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

    def make_maps(self, sites: Any) -> bool:
        """Make all kernel maps of these sites; False where the library makes them only inside its passes."""
        return False

    @abstractmethod
    def forward(self, sites: Any) -> Tensor:
        """One pass. Kernel maps that these `sites` lack are made and stored there."""

    @abstractmethod
    def stem_gradient(self) -> Tensor:
        """(27, 1, in, out): the gradient of the first convolution's weight after a training step."""

    def in_order(self, rows: Tensor) -> Tensor:
        """The rows of `forward` in the lexicographic order of the coordinates."""
        if not self.case.shuffled:
            return rows
        ordered = torch.empty_like(rows)
        ordered[self._order] = rows
        return ordered

    def measure(self) -> dict[str, float]:
        """Seconds in total and, except in training, of the kernel maps and of the network with maps that exist.

        Each is timed by itself, none is a difference. "maps" includes the sites, and is missing where the library makes
        maps only inside its passes; "network" is then a second pass. "cpu" is the total's CPU time, of all threads.
        """
        cpu, started = time.process_time(), time.perf_counter()
        if self.case.kind == "training":
            self._train()
            return {"total": time.perf_counter() - started, "cpu": time.process_time() - cpu}
        with torch.inference_mode():
            sites = self.sites()
            makes_maps = self.make_maps(sites)
            made = time.perf_counter()
            if self.case.kind != "maps":
                self.result = self.forward(sites)
            ended = time.perf_counter()
            seconds = {"total": ended - started, "cpu": time.process_time() - cpu}
            if self.case.kind == "maps":
                return seconds | {"maps": made - started}
            if makes_maps:
                return seconds | {"maps": made - started, "network": ended - made}
            self.forward(sites)
            return seconds | {"network": time.perf_counter() - ended}

    def outcome(self) -> dict[str, Tensor]:
        """What must agree between libraries: outputs and, in training, a gradient."""
        outputs = {} if self.case.kind == "maps" else {"output": self.in_order(self.result)}
        return outputs | ({"gradient": self.stem_gradient()} if self.case.kind == "training" else {})

    def _train(self) -> None:
        self.model.zero_grad()
        out = self.forward(self.sites())
        out.square().mean().backward()
        self.result = out.detach()


class Torch(Library):
    """Our layers on the torch kernels, which are used on a GPU and where the native ones were not built."""

    def __init__(self) -> None:
        native.available = lambda: False  # this process runs nothing else
        self.version = f"kidneyseg {__version__}, torch kernels"

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
        """The output of `InputLayer`: sites, and the row of each point."""
        return self._input(self.coords, self.features)

    def make_maps(self, sites: Any) -> bool:
        """Of the submanifold convolutions, and of those between the levels."""
        level = sites[0].level
        for depth in range(len(self.case.planes)):
            self.make(level.neighbours(3))
            if depth + 1 < len(self.case.planes):
                down = level.down()
                self.make(down.children)
                self.make(down.parents)
                level = down.coarse
        return True

    def make(self, kernel_map: KernelMap[Any]) -> None:
        """Make a map in the form that the kernels use: as a table, or as it is if each row reads one other."""
        if not isinstance(kernel_map, ParentMap):
            _ = kernel_map.table

    def forward(self, sites: Any) -> Tensor:
        """The forward pass without the input layer; rows are points."""
        if self.case.kind == "layer":
            x, rows = sites
            features = self.model(x).features
            return features if rows is None else features[rows]
        self.network.input = _FixedSites(sites)
        return self.network(self.coords, self.features)

    def stem_gradient(self) -> Tensor:
        """Of our first layer."""
        assert self.network.stem.weight.grad is not None
        return self.network.stem.weight.grad


class Native(Torch):
    """Our native kernels: in training and for single layers under our layers, else as the program runs them."""

    def __init__(self) -> None:
        self.version = f"kidneyseg {__version__}, {native.instruction_set()}"

    def prepare(self, case: Case) -> None:
        """As `Library.prepare`, and the network on arrays, which needs no torch."""
        super().prepare(case)
        if case.kind in ("inference", "maps"):
            arrays = self.network.arrays
            self._runner = NativeUNet(arrays.layout, arrays.weights)
            self._points = self.coords.numpy(), self.features.numpy()

    def sites(self) -> Any:
        """Sites, their features, and the row of each point."""
        return merge(*self._points, mode=4) if self._on_arrays else super().sites()

    def make_maps(self, sites: Any) -> bool:
        """Those that the steps of the network read."""
        if not self._on_arrays:
            return super().make_maps(sites)
        make_maps(self.network.layout.convolutions, sites[0])
        return True

    def make(self, kernel_map: KernelMap[Any]) -> None:
        """As a plan."""
        _ = kernel_map.plan

    def forward(self, sites: Any) -> Tensor:
        """The pass of the program; rows are points."""
        if not self._on_arrays:
            return super().forward(sites)
        level, features, rows = sites
        logits = self._runner.logits_of_sites(level, features, lambda _: None)
        return torch.from_numpy(spread(logits, rows, self.network.linear.bias.numpy()))

    @property
    def _on_arrays(self) -> bool:
        return self.case.kind in ("inference", "maps")


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
