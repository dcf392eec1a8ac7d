"""The parts of a submanifold sparse U-Net: blocks of norm and convolution, and nested levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import nn

from kidneyseg.sparse import functional
from kidneyseg.sparse.layers import (
    BatchNormReLU,
    NetworkInNetwork,
    SparseTensor,
    StridedConv,
    SubmanifoldConv,
    TransposedConv,
)


class PlainBlock(nn.Module):
    """BatchNormReLU, then a 3x3x3 submanifold convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = BatchNormReLU(in_channels)
        self.conv = SubmanifoldConv(in_channels, out_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, in) -> (N, out)."""
        return cast(SparseTensor, self.conv(self.norm(x)))


class ResidualBlock(nn.Module):
    """Two plain blocks plus a shortcut, which is a linear map if the number of channels changes."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.shortcut = NetworkInNetwork(in_channels, out_channels) if in_channels != out_channels else None
        self.first = PlainBlock(in_channels, out_channels)
        self.second = PlainBlock(out_channels, out_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, in) -> (N, out)."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return x.with_features(shortcut.features + self.second(self.first(x)).features)


class UNetLevel(nn.Module):
    """One resolution: blocks, then, unless it is the deepest, the coarser levels, concatenation and more blocks."""

    def __init__(self, planes: Sequence[int], block_reps: int, *, residual: bool) -> None:
        super().__init__()
        make = ResidualBlock if residual else PlainBlock
        here = planes[0]
        self.before = nn.ModuleList(make(here, here) for _ in range(block_reps))
        self.deeper: UNetLevel | None = None
        if len(planes) > 1:
            below = planes[1]
            self.down_norm = BatchNormReLU(here)
            self.down = StridedConv(here, below)
            self.deeper = UNetLevel(planes[1:], block_reps, residual=residual)
            self.up_norm = BatchNormReLU(below)
            self.up = TransposedConv(below, here)
            self.after = nn.ModuleList(make(2 * here if i == 0 else here, here) for i in range(block_reps))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N, planes[0]) -> (N, planes[0]) on the same sites."""
        for block in self.before:
            x = block(x)
        if self.deeper is None:
            return x
        inner = self.deeper(self.down(self.down_norm(x)))
        up = self.up(self.up_norm(inner), x.level)
        x = x.with_features(functional.join(x.features, up.features))
        for block in self.after:
            x = block(x)
        return x
