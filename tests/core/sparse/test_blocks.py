"""How the parts of a U-Net are wired: each test makes all but one path of a part zero."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kidneyseg.sparse.blocks import PlainBlock, ResidualBlock, UNetLevel
from kidneyseg.sparse.layers import InputLayer, SparseTensor


def tensor(channels: int) -> SparseTensor:
    coords = torch.randint(0, 9, (200, 3), generator=torch.Generator().manual_seed(0)).unique(dim=0)
    x, _ = InputLayer()(coords, torch.randn(len(coords), channels))
    return x


def test_a_plain_block_normalises_before_its_convolution() -> None:
    x, block = tensor(3), PlainBlock(3, 5)
    assert torch.equal(block(x).features, block.conv(block.norm(x)).features)


@pytest.mark.parametrize("out_channels", [4, 6])
def test_the_shortcut_of_a_residual_block_is_its_input_or_a_linear_map_of_it(out_channels: int) -> None:
    x, block = tensor(4), ResidualBlock(4, out_channels)
    nn.init.zeros_(block.second.conv.weight)
    expected = x if block.shortcut is None else block.shortcut(x)
    assert (block.shortcut is None) == (out_channels == 4)
    assert torch.equal(block(x).features, expected.features)


@torch.no_grad()
def test_a_level_joins_what_it_had_with_what_the_coarser_level_gives() -> None:
    x, level = tensor(4), UNetLevel([4, 6, 8], 2, residual=True)
    assert level.deeper is not None
    for block in (*level.before, *level.after, *level.deeper.modules()):
        if isinstance(block, ResidualBlock):
            nn.init.zeros_(block.second.conv.weight)
    # The blocks are the identity now, but for the first one behind the concatenation.
    coarse = level.deeper(level.down(level.down_norm(x)))
    up = level.up(level.up_norm(coarse), x.level)
    joined = x.with_features(torch.cat([x.features, up.features], dim=1))
    assert up.features.abs().max() > 0
    assert torch.equal(level(x).features, level.after[0].shortcut(joined).features)


def test_the_deepest_level_has_blocks_only() -> None:
    level = UNetLevel([4], 3, residual=False)
    assert level.deeper is None
    assert [name for name, _ in level.named_children()] == ["before"]
    assert len(level.before) == 3
