"""Layers over a `SparseTensor`; their weights have SparseConvNet's shapes and initialisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kidneyseg.sparse import bridge, functional, native, torch_maps
from kidneyseg.sparse.kernel_map import Level, Packing
from kidneyseg.sparse.layout import EPS
from kidneyseg.sparse.sites import SHARED_SITES, packing_of


@dataclass(frozen=True)
class SparseTensor:
    """Features (N, C) of the N active sites of a level."""

    features: Tensor
    level: Level[Any]

    def with_features(self, features: Tensor) -> SparseTensor:
        """The same sites with other features."""
        return SparseTensor(features, self.level)


def _conv_weight(volume: int, in_channels: int, out_channels: int) -> nn.Parameter:
    """(filter volume, groups = 1, in, out), drawn from N(0, sqrt(2 / in / volume))."""
    return nn.Parameter(torch.randn(volume, 1, in_channels, out_channels) * math.sqrt(2.0 / in_channels / volume))


class SubmanifoldConv(nn.Module):
    """Convolution of odd filter width whose output sites are its input sites; optional bias."""

    def __init__(self, in_channels: int, out_channels: int, size: int = 3, *, bias: bool = False) -> None:
        super().__init__()
        self.size = size
        self.weight = _conv_weight(size**3, in_channels, out_channels)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, in) -> (N, out) on the same sites."""
        y = functional.submanifold_conv(x.features, self.weight[:, 0], x.level.neighbours(self.size))
        return x.with_features(y if self.bias is None else y + self.bias)


class StridedConv(nn.Module):
    """Convolution of filter 2, stride 2, to the next coarser level."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = _conv_weight(8, in_channels, out_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(fine sites, in) -> (coarse sites, out)."""
        down = x.level.down()
        return SparseTensor(functional.strided_conv(x.features, self.weight[:, 0], down), down.coarse)


class TransposedConv(nn.Module):
    """The transpose of `StridedConv`: filter 2, stride 2, to exactly the sites of the finer level."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = _conv_weight(8, in_channels, out_channels)

    def forward(self, x: SparseTensor, fine: Level[Any]) -> SparseTensor:
        """(coarse sites, in) -> (fine sites, out)."""
        return SparseTensor(functional.transposed_conv(x.features, self.weight[:, 0], fine.down()), fine)


class NetworkInNetwork(nn.Module):
    """A linear map of each site's features, without bias; weight (in, out) as in SparseConvNet."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(in_channels, out_channels) * math.sqrt(2.0 / in_channels))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, in) -> (N, out)."""
        return x.with_features(x.features @ self.weight)


class BatchNormReLU(nn.Module):
    """BatchNorm and leaky ReLU in one; eps 1e-4 and momentum 0.01 (SparseConvNet's 0.99) by default."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, leak: float = 0.0, eps: float = EPS, momentum: float = 0.01) -> None:
        super().__init__()
        self.leak, self.eps, self.momentum = leak, eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, C) -> (N, C)."""
        return x.with_features(
            functional.batch_norm_relu(
                x.features,
                self.weight,
                self.bias,
                self.running_mean,
                self.running_var,
                training=self.training,
                momentum=self.momentum,
                eps=self.eps,
                leak=self.leak,
            )
        )


class InputLayer(nn.Module):
    """Turns points into sites; points on one site are merged according to `mode`.

    Modes as SparseConvNet's InputLayer behaves: 0 no merging (coordinates must differ), 1 keeps the first point of a
    site, 2 the last, 3 sums them, 4 averages them.
    """

    def __init__(self, mode: int = 4) -> None:
        super().__init__()
        if mode not in range(5):
            raise ValueError(f"input mode must be 0 to 4, not {mode}")
        self.mode = mode

    def forward(
        self, coords: Tensor, features: Tensor, spatial_size: int | None = None
    ) -> tuple[SparseTensor, Tensor | None]:
        """Merge points into sites.

        Args:
            coords: int64 (N, 3) or (N, 4): x, y, z and, in an optional fourth column, the batch index.
            features: (N, C).
            spatial_size: if given, coordinates must be below it.

        Returns:
            The sites in lexicographic order, and int64 (N,) the row of each point, -1 for points that modes 1 and 2
            drop; None if point i is row i.

        Raises:
            ValueError: for coordinates that are negative or too large, wrong shapes, or duplicates in mode 0.
        """
        packing = packing_of(coords, features, spatial_size, _extent)
        keys, in_order = _pack(coords, packing)
        if in_order:
            return SparseTensor(features, level_of(keys, packing)), None
        order = torch.argsort(keys, stable=True)
        unique, site_of_sorted, counts = torch.unique_consecutive(keys[order], return_inverse=True, return_counts=True)
        rows = torch.empty_like(order)
        rows[order] = site_of_sorted
        merged, kept = self._merge(features, order, counts)
        if kept is not None:
            chosen = torch.full_like(rows, -1)
            chosen[kept] = rows[kept]
            rows = chosen
        return SparseTensor(merged, level_of(unique, packing)), rows

    def _merge(self, features: Tensor, order: Tensor, counts: Tensor) -> tuple[Tensor, Tensor | None]:
        if len(counts) == len(order):
            return features[order], None
        if self.mode == 0:
            raise ValueError(SHARED_SITES)
        ends = counts.cumsum(0)
        if self.mode in (1, 2):
            kept = order[ends - counts if self.mode == 1 else ends - 1]
            return features[kept], kept
        how = "sum" if self.mode == 3 else "mean"
        return torch.segment_reduce(features[order], how, lengths=counts, axis=0, unsafe=True), None


class OutputLayer(nn.Module):
    """Copies each site's values to its points; a point without a site gets `absent`, zeros by default."""

    def forward(self, x: SparseTensor, rows: Tensor | None, absent: Tensor | None = None) -> Tensor:
        """(sites, C), rows (N,) or None from `InputLayer` and absent (C,) -> (N, C)."""
        if rows is None:
            return x.features
        values = torch.zeros_like(x.features[:1]) if absent is None else absent[None].to(x.features.dtype)
        # Row -1 is the appended one.
        return torch.cat([x.features, values])[rows] if bool((rows < 0).any()) else x.features[rows]


def _extent(coords: Tensor) -> tuple[list[int], list[int]]:
    if bridge.supports(coords):
        return native.extent(bridge.array_of(coords.contiguous()))
    return torch_maps.extent(coords)


def _pack(coords: Tensor, packing: Packing) -> tuple[Tensor, bool]:
    if len(coords) == 0 or not bridge.supports(coords):
        return torch_maps.pack(coords, packing)
    keys, in_order = native.pack(bridge.array_of(coords.contiguous()), packing)
    return bridge.tensor_of(keys), in_order


def level_of(keys: Tensor, packing: Packing) -> Level[Any]:
    """A level whose kernel maps are made by the kernels that support its keys."""
    if bridge.supports(keys):
        return Level(bridge.array_of(keys), packing, native)
    return Level(keys, packing, torch_maps)
