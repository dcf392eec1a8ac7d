"""spconv and SparseConvNet behind the `Library` interface.

spconv 2.3.8 was run. SparseConvNet must be built from source; it has run the program's networks (docs/results.md), but
**this adapter was never run with it here**. It follows its published interface, so a mistake would show as outputs that
disagree.
"""

from __future__ import annotations

import time
from importlib import import_module, metadata
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.libraries import Library, with_weight
from kidneyseg.sparse.layers import BatchNormReLU
from kidneyseg.sparse.scn_backend import GRID, sparseconvnet_model


class Spconv(Library):
    """spconv on the CPU."""

    def __init__(self) -> None:
        self._spconv = import_module("spconv.pytorch")
        ops = self._spconv.ops
        ops.get_current_stream = lambda: 0  # its backward pass requests a CUDA stream even on the CPU
        ops.get_indice_pairs, self._build = self._timed_build, ops.get_indice_pairs
        self._seconds, self._resumed = {"maps": 0.0, "network": 0.0}, time.perf_counter()
        self.version = f"spconv {metadata.version('spconv')}"

    def unet(self) -> nn.Module:
        """Built from spconv's layers, level by level."""
        return _SpconvUNet(self._spconv, self.network)

    def layer(self) -> nn.Module:
        """One SubMConv3d."""
        layer = self._spconv.SubMConv3d(*self.weight.shape[2:], 3, bias=False, indice_key="layer")
        return with_weight(layer, _to_spconv(self.weight))

    def sites(self) -> Any:
        """A SparseConvTensor."""
        indices = self.coords[:, [3, 0, 1, 2]].int()
        # Its CPU hashes count the grid's cells in 32 bits: take the smallest grid that can be halved six times.
        grid = -(-(int(indices.max()) + 1) // 64) * 64
        return self._spconv.SparseConvTensor(self.features, indices, [grid] * 3, 1)

    def forward(self, sites: Any) -> Tensor:
        """One pass, which always makes the kernel maps."""
        return self.model(sites).features

    def measure(self) -> dict[str, float]:
        """As `Library.measure`. A second pass cannot reuse the strided maps, so maps are timed where a pass makes them.

        The clock of the network stands still meanwhile.
        """
        if self.case.kind == "training":
            return super().measure()
        cpu, started = time.process_time(), time.perf_counter()
        self._seconds = {"maps": 0.0, "network": 0.0}
        with torch.inference_mode():
            sites = self.sites()
            self._resumed = self._charge("maps", started)
            self.result = self.forward(sites)
            ended = self._charge("network", self._resumed)
        maps_alone = {"total": self._seconds["maps"], "maps": self._seconds["maps"]}
        total = {"total": ended - started, "cpu": time.process_time() - cpu}
        return maps_alone if self.case.kind == "maps" else self._seconds | total

    def stem_gradient(self) -> Tensor:
        """In our layout."""
        grad = self.model.stem.weight.grad
        return grad.flatten(1, 3).permute(1, 2, 0)[:, None]

    def _timed_build(self, *args: Any, **named: Any) -> Any:
        started = self._charge("network", self._resumed)
        built = self._build(*args, **named)
        self._resumed = self._charge("maps", started)
        return built

    def _charge(self, part: str, since: float) -> float:
        """Add the time since `since` to a part; returns the time now."""
        now = time.perf_counter()
        self._seconds[part] += now - since
        return now


class _SpconvUNet(nn.Module):
    def __init__(self, spconv: Any, ours: Any) -> None:
        super().__init__()
        stem = spconv.SubMConv3d(*ours.stem.weight.shape[2:], 3, bias=False, indice_key="sub0")
        self.stem = with_weight(stem, _to_spconv(ours.stem.weight))
        self.unet = _SpconvLevel(spconv, ours.unet, 0)
        self.norm, self.linear = _norm(ours.final_norm), ours.linear

    def forward(self, x: Any) -> Any:
        x = _on_features(self.norm, self.unet(self.stem(x)))
        return x.replace_feature(self.linear(x.features))


class _SpconvLevel(nn.Module):
    def __init__(self, spconv: Any, ours: Any, depth: int) -> None:
        super().__init__()

        def block(plain: Any) -> nn.ModuleList:
            conv = spconv.SubMConv3d(*plain.conv.weight.shape[2:], 3, bias=False, indice_key=f"sub{depth}")
            return nn.ModuleList([_norm(plain.norm), with_weight(conv, _to_spconv(plain.conv.weight))])

        self.before = nn.ModuleList(block(plain) for plain in ours.before)
        self.deeper = None
        if hasattr(ours, "deeper"):
            here, below = ours.down.weight.shape[2:]
            down = spconv.SparseConv3d(here, below, 2, 2, bias=False, indice_key=f"down{depth}")
            up = spconv.SparseInverseConv3d(below, here, 2, f"down{depth}", bias=False)
            self.down_norm, self.up_norm = _norm(ours.down_norm), _norm(ours.up_norm)
            self.down = with_weight(down, _to_spconv(ours.down.weight))
            self.up = with_weight(up, _to_spconv(ours.up.weight))
            self.deeper = _SpconvLevel(spconv, ours.deeper, depth + 1)
            self.after = nn.ModuleList(block(plain) for plain in ours.after)

    def forward(self, x: Any) -> Any:
        for norm, conv in self.before:
            x = conv(_on_features(norm, x))
        if self.deeper is None:
            return x
        up = self.up(_on_features(self.up_norm, self.deeper(self.down(_on_features(self.down_norm, x)))))
        x = up.replace_feature(torch.cat([x.features, up.features], dim=1))
        for norm, conv in self.after:
            x = conv(_on_features(norm, x))
        return x


class SparseConvNet(Library):
    """facebookresearch/SparseConvNet."""

    version = "SparseConvNet"  # its version number never changed

    def unet(self) -> nn.Module:
        """The model that the backend \"sparseconvnet\" runs."""
        return sparseconvnet_model(self.network)

    def layer(self) -> nn.Module:
        """An input layer and one SubmanifoldConvolution."""
        scn = import_module("sparseconvnet")
        conv = scn.SubmanifoldConvolution(3, *self.weight.shape[2:], 3, False)
        with torch.no_grad():
            conv.weight.copy_(self.weight)
        model = nn.Module()
        model.sparseModel = scn.Sequential().add(scn.InputLayer(3, torch.LongTensor([GRID] * 3), mode=4)).add(conv)
        return model

    def sites(self) -> Any:
        """The output of its input layer, whose metadata stores the kernel maps."""
        return next(self._layers())([self.coords, self.features])

    def forward(self, sites: Any) -> Tensor:
        """All layers but the first."""
        _, *layers = self._layers()
        for layer in layers:
            sites = layer(sites)
        return sites.features if self.case.kind == "layer" else self.model.linear(sites)

    def stem_gradient(self) -> Tensor:
        """Its layout is the same as ours."""
        _, stem, *_ = self._layers()
        return stem.weight.grad

    def _layers(self) -> Any:
        return iter(self.model.sparseModel.children())


def _to_spconv(weight: Tensor) -> Tensor:
    """(K, 1, in, out) -> (out, x, y, z, in)."""
    edge = round(len(weight) ** (1 / 3))
    return weight.detach()[:, 0].permute(2, 0, 1).unflatten(1, (edge, edge, edge)).contiguous()


def _norm(ours: BatchNormReLU) -> nn.Sequential:
    norm = nn.BatchNorm1d(len(ours.weight), eps=ours.eps, momentum=ours.momentum)
    norm.load_state_dict(ours.state_dict(), strict=False)
    return nn.Sequential(norm, nn.ReLU(inplace=True))


def _on_features(module: nn.Module, x: Any) -> Any:
    return x.replace_feature(module(x.features))
