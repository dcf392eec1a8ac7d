"""The submanifold sparse U-Net of Graham et al. (CVPR 2018), pre-activation, plain or residual.

Its layout follows SparseConvNet's `UNet`, so that weights pass between the two (see `checkpoints`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from kidneyseg.sparse.layers import (
    BatchNormReLU,
    InputLayer,
    NetworkInNetwork,
    OutputLayer,
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
    """Two plain blocks added to a shortcut, which is a linear map where the channels change."""

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
    """One resolution: blocks, then (unless it is the deepest) down, the levels below, up, join, blocks again."""

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
        x = x.with_features(torch.cat([x.features, up.features], dim=1))
        for block in self.after:
            x = block(x)
        return x


class SparseUNet(nn.Module):
    """Points in, logits out: input merging, 3x3x3 convolution, U-Net, final norm, linear classifier.

    Attributes:
        config: the constructor's arguments, enough to build an equal network.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        planes: Sequence[int],
        *,
        block_reps: int = 1,
        residual: bool = False,
        final_norm: bool = True,
        input_mode: int = 4,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "classes": classes,
            "planes": list(planes),
            "block_reps": block_reps,
            "residual": residual,
            "final_norm": final_norm,
            "input_mode": input_mode,
        }
        self.input = InputLayer(input_mode)
        self.stem = SubmanifoldConv(in_channels, planes[0])
        self.unet = UNetLevel(planes, block_reps, residual=residual)
        self.final_norm = BatchNormReLU(planes[0]) if final_norm else None
        self.output = OutputLayer()
        self.linear = nn.Linear(planes[0], classes)

    def forward(self, coords: Tensor, features: Tensor, spatial_size: int | None = None) -> Tensor:
        """Class scores of every point.

        Args:
            coords: int64 (N, 3) or (N, 4), x, y, z (and batch index last), all >= 0, in any order. N may be 0.
            features: float (N, in_channels).
            spatial_size: where given, coordinates must be below it.

        Returns:
            Logits (N, classes) in the order of `coords`.

        Raises:
            ValueError: for coordinates or shapes that do not fit; see `InputLayer`.
        """
        x, rows = self.input(coords, features, spatial_size)
        x = self.unet(self.stem(x))
        if self.final_norm is not None:
            x = self.final_norm(x)
        return cast(Tensor, self.linear(self.output(x, rows)))
