"""MinkowskiEngine 0.5 behind the `Library` interface.

**Never run with the real package**, which is not on PyPI: the adapter follows its published interface, and a mistake
would show as outputs that disagree. The order of its filter offsets is determined by running it.
"""

from __future__ import annotations

from importlib import import_module, metadata
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.libraries import Library, with_weight
from kidneyseg.sparse.layers import BatchNormReLU


class Minkowski(Library):
    """NVIDIA/MinkowskiEngine 0.5."""

    def __init__(self) -> None:
        self._me = import_module("MinkowskiEngine")
        self._filters = _MinkowskiFilters(self._me)
        self.version = f"MinkowskiEngine {metadata.version('MinkowskiEngine')}"

    def unet(self) -> nn.Module:
        """Built from its layers, level by level."""
        return _MinkowskiUNet(self._me, self._filters, self.network)

    def layer(self) -> nn.Module:
        """One MinkowskiConvolution."""
        return self._filters.submanifold(self.weight)

    def sites(self) -> Any:
        """A SparseTensor, whose coordinate manager stores the kernel maps."""
        return self._me.SparseTensor(self.features, coordinates=self.coords[:, [3, 0, 1, 2]].int())

    def forward(self, sites: Any) -> Tensor:
        """One pass; rows in the order of its coordinate manager."""
        out = self.model(sites)
        self._rows = out.C
        return out.F

    def in_order(self, rows: Tensor) -> Tensor:
        """In lexicographic order, like the coordinates."""
        _, x, y, z = self._rows.long().unbind(1)
        return rows[((x << 40) + (y << 20) + z).argsort()]

    def stem_gradient(self) -> Tensor:
        """In our order of offsets."""
        return self.model.stem.kernel.grad[self._filters.submanifold_order][:, None]


class _MinkowskiFilters:
    """Its convolutions with our weights: offset k of our filter is row order[k] of its kernel."""

    def __init__(self, me: Any) -> None:
        self._me = me
        centre = torch.tensor([0, 1, 1, 1])
        block, convolution = self._probe(3), me.MinkowskiConvolution(27, 27, kernel_size=3, dimension=3)
        seen = with_weight(convolution, _numbered(27), "kernel")(block)
        self.submanifold_order = seen.F[(centre == seen.C).all(1)][0].round().long()
        block = self._probe(2)
        convolution = me.MinkowskiConvolution(8, 8, kernel_size=2, stride=2, dimension=3)
        down = with_weight(convolution, _numbered(8), "kernel")(block)
        self.down_order = down.F[0].round().long()
        # Each child receives k / 28 times the sum 28 of the coarse site's channels 0 ... 7: the number of its offset.
        convolution = me.MinkowskiConvolutionTranspose(8, 1, kernel_size=2, stride=2, dimension=3)
        spread = torch.arange(8.0)[:, None, None].expand(8, 8, 1) / 28
        up = with_weight(convolution, spread, "kernel")(down)
        children = 4 * up.C[:, 1] + 2 * up.C[:, 2] + up.C[:, 3]
        self.up_order = up.F[children.long().argsort(), 0].round().long()

    def submanifold(self, weight: Tensor) -> nn.Module:
        """(27, 1, in, out) -> MinkowskiConvolution."""
        conv = self._me.MinkowskiConvolution(*weight.shape[2:], kernel_size=3, dimension=3)
        return with_weight(conv, _permuted(weight, self.submanifold_order), "kernel")

    def down(self, weight: Tensor) -> nn.Module:
        """(8, 1, in, out) -> strided MinkowskiConvolution."""
        conv = self._me.MinkowskiConvolution(*weight.shape[2:], kernel_size=2, stride=2, dimension=3)
        return with_weight(conv, _permuted(weight, self.down_order), "kernel")

    def up(self, weight: Tensor) -> nn.Module:
        """(8, 1, in, out) -> MinkowskiConvolutionTranspose."""
        conv = self._me.MinkowskiConvolutionTranspose(*weight.shape[2:], kernel_size=2, stride=2, dimension=3)
        return with_weight(conv, _permuted(weight, self.up_order), "kernel")

    def _probe(self, edge: int) -> Any:
        """A full cube whose site k, the first coordinate slowest, has a one in channel k."""
        sites = torch.tensor([(0, *place) for place in product(range(edge), repeat=3)], dtype=torch.int32)
        return self._me.SparseTensor(torch.eye(edge**3), coordinates=sites)


class _MinkowskiUNet(nn.Module):
    def __init__(self, me: Any, filters: _MinkowskiFilters, ours: Any) -> None:
        super().__init__()
        self.stem = filters.submanifold(ours.stem.weight)
        self.unet = _MinkowskiLevel(me, filters, ours.unet)
        self.norm = _MinkowskiNorm(me, ours.final_norm)
        self.linear = me.MinkowskiLinear(*reversed(ours.linear.weight.shape))
        self.linear.linear.load_state_dict(ours.linear.state_dict())

    def forward(self, x: Any) -> Any:
        return self.linear(self.norm(self.unet(self.stem(x))))


class _MinkowskiNorm(nn.Sequential):
    def __init__(self, me: Any, ours: BatchNormReLU) -> None:
        norm = me.MinkowskiBatchNorm(len(ours.weight), eps=ours.eps, momentum=ours.momentum)
        norm.bn.load_state_dict(ours.state_dict(), strict=False)
        super().__init__(norm, me.MinkowskiReLU())


class _MinkowskiLevel(nn.Module):
    def __init__(self, me: Any, filters: _MinkowskiFilters, ours: Any) -> None:
        super().__init__()

        def block(plain: Any) -> nn.Sequential:
            return nn.Sequential(_MinkowskiNorm(me, plain.norm), filters.submanifold(plain.conv.weight))

        self._cat = me.cat
        self.before = nn.Sequential(*map(block, ours.before))
        self.inner: nn.Module | None = None
        if hasattr(ours, "deeper"):
            self.inner = nn.Sequential(
                _MinkowskiNorm(me, ours.down_norm),
                filters.down(ours.down.weight),
                _MinkowskiLevel(me, filters, ours.deeper),
                _MinkowskiNorm(me, ours.up_norm),
                filters.up(ours.up.weight),
            )
            self.after = nn.Sequential(*map(block, ours.after))

    def forward(self, x: Any) -> Any:
        x = self.before(x)
        return x if self.inner is None else self.after(self._cat(x, self.inner(x)))


def _numbered(size: int) -> Tensor:
    """A kernel whose row k multiplies by k."""
    return torch.arange(float(size))[:, None, None] * torch.eye(size)


def _permuted(weight: Tensor, order: Tensor) -> Tensor:
    kernel = torch.empty_like(weight[:, 0])
    kernel[order] = weight[:, 0].detach()
    return kernel
