"""A stand-in for the package `sparseconvnet`: its names, signatures and nesting on our own layers.

It follows the published interface. `test_backends.py` checks its names and outputs against the golden files, which the
real package wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kidneyseg.sparse import layers as ours


@dataclass
class Metadata:
    """What one input's tensors share: where its points went, and the finer level of each coarse one."""

    rows: Tensor
    finer: dict[int, Any] = field(default_factory=dict)


@dataclass
class SparseConvNetTensor:
    features: Tensor
    metadata: Metadata
    spatial_size: Tensor
    level: Any

    def changed(self, features: Tensor, level: Any = None) -> SparseConvNetTensor:
        return SparseConvNetTensor(features, self.metadata, self.spatial_size, level or self.level)

    def ours(self) -> ours.SparseTensor:
        return ours.SparseTensor(self.features, self.level)


class Sequential(nn.Sequential):
    def add(self, module: nn.Module) -> Sequential:
        self.append(module)
        return self


class ConcatTable(nn.Sequential):
    def add(self, module: nn.Module) -> ConcatTable:
        self.append(module)
        return self

    def forward(self, x: Any) -> Any:
        return [module(x) for module in self]


class Identity(nn.Module):
    def forward(self, x: Any) -> Any:
        return x


class JoinTable(nn.Module):
    def forward(self, x: Any) -> Any:
        return x[0].changed(torch.cat([part.features for part in x], dim=1))


class AddTable(nn.Module):
    def forward(self, x: Any) -> Any:
        return x[0].changed(sum(part.features for part in x))


class InputLayer(nn.Module):
    def __init__(self, dimension: int, spatial_size: Tensor, mode: int = 3) -> None:
        super().__init__()
        assert dimension == 3
        self.spatial_size, self.mode = spatial_size, mode

    def forward(self, given: list[Tensor]) -> SparseConvNetTensor:
        coords, features = given
        x, rows = ours.InputLayer(self.mode)(coords, features, int(self.spatial_size.min()))
        return SparseConvNetTensor(x.features, Metadata(rows), self.spatial_size, x.level)


class OutputLayer(nn.Module):
    def __init__(self, dimension: int) -> None:
        super().__init__()

    def forward(self, x: SparseConvNetTensor) -> Tensor:
        return ours.OutputLayer()(x.ours(), x.metadata.rows)


class _Convolution(nn.Module):
    def __init__(self, dimension: int, n_in: int, n_out: int, volume: int, bias: bool) -> None:
        super().__init__()
        assert dimension == 3
        assert not bias
        self.weight = nn.Parameter(torch.randn(volume, 1, n_in, n_out))

    def on(self, layer: nn.Module, *x: Any) -> Any:
        layer.weight = self.weight
        return layer(*x)


class SubmanifoldConvolution(_Convolution):
    def __init__(self, dimension: int, n_in: int, n_out: int, filter_size: int, bias: bool, groups: int = 1) -> None:
        super().__init__(dimension, n_in, n_out, filter_size**3, bias)

    def forward(self, x: SparseConvNetTensor) -> SparseConvNetTensor:
        return x.changed(self.on(ours.SubmanifoldConv(*self.weight.shape[2:]), x.ours()).features)


class Convolution(_Convolution):
    def __init__(self, dimension: int, n_in: int, n_out: int, size: int, stride: int, bias: bool) -> None:
        super().__init__(dimension, n_in, n_out, size**3, bias)

    def forward(self, x: SparseConvNetTensor) -> SparseConvNetTensor:
        assert all(x.spatial_size % 2 == 0), "(out - 1) * stride + filter must be in"
        y = self.on(ours.StridedConv(*self.weight.shape[2:]), x.ours())
        x.metadata.finer[id(y.level)] = x.level
        return SparseConvNetTensor(y.features, x.metadata, x.spatial_size // 2, y.level)


class Deconvolution(_Convolution):
    def __init__(self, dimension: int, n_in: int, n_out: int, size: int, stride: int, bias: bool) -> None:
        super().__init__(dimension, n_in, n_out, size**3, bias)

    def forward(self, x: SparseConvNetTensor) -> SparseConvNetTensor:
        finer = x.metadata.finer[id(x.level)]
        y = self.on(ours.TransposedConv(*self.weight.shape[2:]), x.ours(), finer)
        return SparseConvNetTensor(y.features, x.metadata, x.spatial_size * 2, finer)


class NetworkInNetwork(nn.Module):
    def __init__(self, n_in: int, n_out: int, bias: bool) -> None:
        super().__init__()
        assert not bias
        self.weight = nn.Parameter(torch.randn(n_in, n_out))

    def forward(self, x: SparseConvNetTensor) -> SparseConvNetTensor:
        return x.changed(x.features @ self.weight)


class BatchNormReLU(ours.BatchNormReLU):
    def __init__(self, n_planes: int, eps: float = 1e-4, momentum: float = 0.99) -> None:
        super().__init__(n_planes, eps=eps, momentum=1 - momentum)

    def forward(self, x: Any) -> Any:
        return x.changed(super().forward(x.ours()).features)


def UNet(dimension: int, reps: int, planes: list[int], residual_blocks: bool = False) -> Sequential:
    def block(m: Sequential, a: int, b: int) -> None:
        if not residual_blocks:
            m.add(Sequential().add(BatchNormReLU(a)).add(SubmanifoldConvolution(dimension, a, b, 3, False)))
            return
        inner = Sequential(BatchNormReLU(a), SubmanifoldConvolution(dimension, a, b, 3, False))
        inner.add(BatchNormReLU(b)).add(SubmanifoldConvolution(dimension, b, b, 3, False))
        m.add(ConcatTable(Identity() if a == b else NetworkInNetwork(a, b, False), inner)).add(AddTable())

    m = Sequential()
    for _ in range(reps):
        block(m, planes[0], planes[0])
    if len(planes) == 1:
        return m
    here, below = planes[:2]
    down = Sequential(BatchNormReLU(here), Convolution(dimension, here, below, 2, 2, False))
    down.add(UNet(dimension, reps, planes[1:], residual_blocks))
    down.add(BatchNormReLU(below)).add(Deconvolution(dimension, below, here, 2, 2, False))
    m.add(ConcatTable(Identity(), down)).add(JoinTable())
    for i in range(reps):
        block(m, here * (2 if i == 0 else 1), here)
    return m
