"""A U-Net's forward pass with its norms folded into the convolutions, for the native kernels.

Blocks read `relu(norm(x))`, and at inference a norm is a scale and a shift. So each convolution writes its result,
while that is in the cache, in the forms in which it will be read: through the next block's norm, through the norm of
the way down, straight into its half of a join; raw only for a shortcut. Buffers serve again once they have been read,
which keeps the memory small and spares the system handing out fresh pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from kidneyseg.sparse import memory, native
from kidneyseg.sparse.blocks import PlainBlock, ResidualBlock, UNetLevel
from kidneyseg.sparse.kernel_map import Level
from kidneyseg.sparse.layers import BatchNormReLU, SubmanifoldConv
from kidneyseg.sparse.native import Plan, Target

Block = PlainBlock | ResidualBlock


class _Input(NamedTuple):
    """What a block reads: x through its first norm, and x itself where it has a shortcut."""

    normed: Tensor
    raw: Tensor | None


class Buffers:
    """Memory that serves again: matrices whose content is lost when they are given back."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []
        self._whole: dict[int, Tensor] = {}

    def take(self, rows: int, channels: int) -> Tensor:
        """float32 (rows, channels), not initialised."""
        size = rows * channels
        fitting = [buffer for buffer in self._free if len(buffer) >= size]
        if fitting:
            whole = min(fitting, key=len)
            self._free = [buffer for buffer in self._free if buffer is not whole]
        else:
            whole = memory.empty(max(size, 1), 1).view(-1)
        self._whole[_memory(whole)] = whole
        return whole[:size].view(rows, channels)

    def give(self, *matrices: Tensor) -> None:
        """Hand back what `take` gave."""
        self._free += [self._whole.pop(_memory(matrix)) for matrix in matrices]


def _memory(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


class FusedPass:
    """One forward pass, from features to the U-Net's last norm.

    Args:
        report: told the share of the convolutions that are done, after each; may raise to cancel.
        convolutions: how many there are in all.
    """

    def __init__(self, report: Callable[[float], None], convolutions: int) -> None:
        self._report, self._all, self._done = report, convolutions, 0
        self._buffers = Buffers()

    def run(
        self, features: Tensor, sites: Level, stem: SubmanifoldConv, unet: UNetLevel, final_norm: BatchNormReLU | None
    ) -> Tensor:
        """Features (N, C) on the sites -> float32 (N, planes[0])."""
        x, targets = self._wanted(_blocks(unet.before)[0], len(sites), stem.weight.shape[3])
        self._conv(features, sites.neighbours(stem.size).plan, stem.weight[:, 0], targets)
        out = self._buffers.take(len(sites), stem.weight.shape[3])
        self._level(unet, x, sites, [_through(final_norm, out)])
        return out

    def _level(self, unet: UNetLevel, x: _Input, sites: Level, targets: list[Target]) -> None:
        before = _blocks(unet.before)
        if unet.deeper is None:
            self._chain(before, x, sites, targets)
            return
        here, below = unet.down.weight.shape[2:]
        joined, halves = self._wanted(_blocks(unet.after)[0], len(sites), 2 * here)
        going_down = self._buffers.take(len(sites), here)
        skip = [_columns(target, 0, here) for target in halves]
        self._chain(before, x, sites, [*skip, _through(unet.down_norm, going_down)])

        down = sites.down()
        x, coarse_targets = self._wanted(_blocks(unet.deeper.before)[0], len(down.coarse), below)
        self._conv(going_down, down.children.plan, unet.down.weight[:, 0], coarse_targets)
        self._buffers.give(going_down)
        going_up = self._buffers.take(len(down.coarse), below)
        self._level(unet.deeper, x, down.coarse, [_through(unet.up_norm, going_up)])
        up = [_columns(target, here, 2 * here) for target in halves]
        self._conv(going_up, down.parents.plan, unet.up.weight[:, 0], up)
        self._buffers.give(going_up)
        self._chain(_blocks(unet.after), joined, sites, targets)

    def _chain(self, blocks: Sequence[Block], x: _Input, sites: Level, targets: list[Target]) -> None:
        for block, following in pairwise(blocks):
            after, wanted = self._wanted(following, len(sites), _last_conv(block).weight.shape[3])
            self._block(block, x, sites, wanted)
            x = after
        self._block(blocks[-1], x, sites, targets)

    def _block(self, block: Block, x: _Input, sites: Level, targets: list[Target]) -> None:
        neighbours = sites.neighbours(3).plan
        if isinstance(block, PlainBlock):
            self._conv(x.normed, neighbours, block.conv.weight[:, 0], targets)
            self._buffers.give(x.normed)
            return
        raw, channels = cast(Tensor, x.raw), _last_conv(block).weight.shape[3]
        middle = self._buffers.take(len(sites), channels)
        self._conv(x.normed, neighbours, block.first.conv.weight[:, 0], [_through(block.second.norm, middle)])
        self._buffers.give(x.normed)
        shortcut = raw
        if block.shortcut is not None:
            shortcut = self._buffers.take(len(sites), channels)
            self._conv(raw, sites.neighbours(1).plan, block.shortcut.weight[None], [Target(shortcut)])
            self._buffers.give(raw)
        self._conv(middle, neighbours, block.second.conv.weight[:, 0], targets, start=shortcut)
        self._buffers.give(middle, shortcut)

    def _wanted(self, block: Block, rows: int, channels: int) -> tuple[_Input, list[Target]]:
        """Buffers for what a block reads, and how they are to be filled."""
        normed = self._buffers.take(rows, channels)
        if isinstance(block, PlainBlock):
            return _Input(normed, None), [_through(block.norm, normed)]
        raw = self._buffers.take(rows, channels)
        return _Input(normed, raw), [_through(block.first.norm, normed), Target(raw)]

    def _conv(
        self, x: Tensor, plan: Plan, weight: Tensor, targets: Sequence[Target], start: Tensor | None = None
    ) -> None:
        native.conv_into(x, plan, weight, targets, start)
        self._done += 1
        self._report(self._done / self._all)


def _blocks(modules: nn.ModuleList) -> list[Block]:
    return cast(list[Block], list(modules))


def _last_conv(block: Block) -> SubmanifoldConv:
    return block.conv if isinstance(block, PlainBlock) else block.second.conv


def _through(norm: BatchNormReLU | None, rows: Tensor) -> Target:
    """A target behind a norm with measured statistics."""
    if norm is None:
        return Target(rows)
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return Target(rows, scale, norm.bias - norm.running_mean * scale, norm.leak)


def _columns(target: Target, begin: int, end: int) -> Target:
    """Some channels of a target."""
    scale, shift = (None if vector is None else vector[begin:end] for vector in (target.scale, target.shift))
    return Target(target.rows[:, begin:end], scale, shift, target.leak)
