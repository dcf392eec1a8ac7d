"""A U-Net's forward pass with its norms fused into the convolutions, for the native kernels.

Blocks read `relu(norm(x))`, and at inference a norm is a scale and a shift. Each convolution therefore writes its
result, while it is in the cache, in every form in which it is read: through the norm of the next block, through the
norm before the strided convolution, into its half of a concatenation, and raw for a shortcut. Buffers are reused after
they were read.
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


class _BlockInput(NamedTuple):
    """What a block reads: x through its first norm, and x itself if it has a shortcut."""

    normed: Tensor
    raw: Tensor | None


class BufferPool:
    """Matrices whose memory is reused after they were returned."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []
        self._taken: dict[int, Tensor] = {}  # by address

    def take(self, rows: int, channels: int) -> Tensor:
        """float32 (rows, channels), not initialised."""
        size = rows * channels
        fitting = [buffer for buffer in self._free if len(buffer) >= size]
        if fitting:
            whole = min(fitting, key=len)
            self._free = [buffer for buffer in self._free if buffer is not whole]
        else:
            whole = memory.empty(max(size, 1), 1).view(-1)
        self._taken[_address(whole)] = whole
        return whole[:size].view(rows, channels)

    def put_back(self, *matrices: Tensor) -> None:
        """Return matrices from `take`."""
        self._free += [self._taken.pop(_address(matrix)) for matrix in matrices]


def _address(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


class FusedPass:
    """One forward pass from the features to the final norm.

    Args:
        report: called after each convolution with the share that is done; may raise to cancel.
        convolutions: their total number.
    """

    def __init__(self, report: Callable[[float], None], convolutions: int) -> None:
        self._report, self._total, self._done = report, convolutions, 0
        self._buffers = BufferPool()

    def run(
        self, features: Tensor, sites: Level, stem: SubmanifoldConv, unet: UNetLevel, final_norm: BatchNormReLU | None
    ) -> Tensor:
        """float32 features (N, C) on the sites -> (N, planes[0])."""
        x, targets = self._block_input(_blocks(unet.before)[0], len(sites), stem.weight.shape[3])
        self._conv(features, sites.neighbours(stem.size).plan, stem.weight[:, 0], targets)
        out = self._buffers.take(len(sites), stem.weight.shape[3])
        self._run_level(unet, x, sites, [_normed(final_norm, out)])
        return out

    def _run_level(self, unet: UNetLevel, x: _BlockInput, sites: Level, targets: list[Target]) -> None:
        before = _blocks(unet.before)
        if unet.deeper is None:
            self._run_blocks(before, x, sites, targets)
            return
        here, below = unet.down.weight.shape[2:]
        joined, join_targets = self._block_input(_blocks(unet.after)[0], len(sites), 2 * here)
        down_input = self._buffers.take(len(sites), here)
        skip = [_slice(target, 0, here) for target in join_targets]
        self._run_blocks(before, x, sites, [*skip, _normed(unet.down_norm, down_input)])

        down = sites.down()
        x, coarse_targets = self._block_input(_blocks(unet.deeper.before)[0], len(down.coarse), below)
        self._conv(down_input, down.children.plan, unet.down.weight[:, 0], coarse_targets)
        self._buffers.put_back(down_input)
        up_input = self._buffers.take(len(down.coarse), below)
        self._run_level(unet.deeper, x, down.coarse, [_normed(unet.up_norm, up_input)])
        up = [_slice(target, here, 2 * here) for target in join_targets]
        self._conv(up_input, down.parents.plan, unet.up.weight[:, 0], up)
        self._buffers.put_back(up_input)
        self._run_blocks(_blocks(unet.after), joined, sites, targets)

    def _run_blocks(self, blocks: Sequence[Block], x: _BlockInput, sites: Level, targets: list[Target]) -> None:
        for block, following in pairwise(blocks):
            next_x, next_targets = self._block_input(following, len(sites), _last_conv(block).weight.shape[3])
            self._run_block(block, x, sites, next_targets)
            x = next_x
        self._run_block(blocks[-1], x, sites, targets)

    def _run_block(self, block: Block, x: _BlockInput, sites: Level, targets: list[Target]) -> None:
        neighbours = sites.neighbours(3).plan
        if isinstance(block, PlainBlock):
            self._conv(x.normed, neighbours, block.conv.weight[:, 0], targets)
            self._buffers.put_back(x.normed)
            return
        raw, channels = cast(Tensor, x.raw), _last_conv(block).weight.shape[3]
        middle = self._buffers.take(len(sites), channels)
        self._conv(x.normed, neighbours, block.first.conv.weight[:, 0], [_normed(block.second.norm, middle)])
        self._buffers.put_back(x.normed)
        shortcut = raw
        if block.shortcut is not None:
            shortcut = self._buffers.take(len(sites), channels)
            self._conv(raw, sites.neighbours(1).plan, block.shortcut.weight[None], [Target(shortcut)])
            self._buffers.put_back(raw)
        self._conv(middle, neighbours, block.second.conv.weight[:, 0], targets, start=shortcut)
        self._buffers.put_back(middle, shortcut)

    def _block_input(self, block: Block, rows: int, channels: int) -> tuple[_BlockInput, list[Target]]:
        """Buffers for the input of a block, and the targets that fill them."""
        normed = self._buffers.take(rows, channels)
        if isinstance(block, PlainBlock):
            return _BlockInput(normed, None), [_normed(block.norm, normed)]
        raw = self._buffers.take(rows, channels)
        return _BlockInput(normed, raw), [_normed(block.first.norm, normed), Target(raw)]

    def _conv(
        self, x: Tensor, plan: Plan, weight: Tensor, targets: Sequence[Target], start: Tensor | None = None
    ) -> None:
        native.conv_into(x, plan, weight, targets, start)
        self._done += 1
        self._report(self._done / self._total)


def _blocks(modules: nn.ModuleList) -> list[Block]:
    return cast(list[Block], list(modules))


def _last_conv(block: Block) -> SubmanifoldConv:
    return block.conv if isinstance(block, PlainBlock) else block.second.conv


def _normed(norm: BatchNormReLU | None, rows: Tensor) -> Target:
    """A target that gets rows through a norm with its running statistics."""
    if norm is None:
        return Target(rows)
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return Target(rows, scale, norm.bias - norm.running_mean * scale, norm.leak)


def _slice(target: Target, begin: int, end: int) -> Target:
    """Channels begin ... end - 1 of a target."""
    scale, shift = (None if vector is None else vector[begin:end] for vector in (target.scale, target.shift))
    return Target(target.rows[:, begin:end], scale, shift, target.leak)
