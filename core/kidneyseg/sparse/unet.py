"""The submanifold sparse U-Net of Graham et al. (CVPR 2018), pre-activation, plain or residual.

Its layout follows SparseConvNet's `UNet`, so that weights pass between the two (see `checkpoints`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kidneyseg.sparse import memory, native
from kidneyseg.sparse.blocks import UNetLevel
from kidneyseg.sparse.inference import FusedPass
from kidneyseg.sparse.layers import (
    BatchNormReLU,
    InputLayer,
    NetworkInNetwork,
    OutputLayer,
    StridedConv,
    SubmanifoldConv,
    TransposedConv,
)

Report = Callable[[float], None]


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

    def forward(
        self, coords: Tensor, features: Tensor, spatial_size: int | None = None, *, report: Report = lambda _: None
    ) -> Tensor:
        """Class scores of every point.

        Args:
            coords: int64 (N, 3) or (N, 4), x, y, z (and batch index last), all >= 0, in any order. N may be 0.
            features: float (N, in_channels).
            spatial_size: where given, coordinates must be below it.
            report: told the share of the layers that are done, 0 ... 1, after each; may raise to cancel.

        Returns:
            Logits (N, classes) in the order of `coords`.

        Raises:
            ValueError: for coordinates or shapes that do not fit; see `InputLayer`.
            MemoryError: on the CPU; on a GPU torch.OutOfMemoryError.
        """
        with memory.shortage_said():
            return self._scores(coords, features, spatial_size, report)

    def _scores(self, coords: Tensor, features: Tensor, spatial_size: int | None, report: Report) -> Tensor:
        x, rows = self.input(coords, features, spatial_size)
        if not self.training and not torch.is_grad_enabled() and native.serves(x.features):
            work = FusedPass(report, sum(isinstance(module, _CONVOLUTIONS) for module in self.modules()))
            x = x.with_features(work.run(x.features, x.level, self.stem, self.unet, self.final_norm))
        else:
            with _reporting(self, report):
                x = self.unet(self.stem(x))
                if self.final_norm is not None:
                    x = self.final_norm(x)
        # One row of scores moves less memory than one of features, so points are served last.
        scores = x.with_features(self.linear(x.features))
        served: Tensor = self.output(scores, rows, self.linear.bias)
        return served


_CONVOLUTIONS = (SubmanifoldConv, StridedConv, TransposedConv, NetworkInNetwork)


@contextmanager
def _reporting(network: SparseUNet, report: Report) -> Iterator[None]:
    """Report after every layer."""
    layers = [module for module in network.modules() if isinstance(module, (*_CONVOLUTIONS, BatchNormReLU))]
    done = 0

    def on_layer(*_: Any) -> None:
        nonlocal done
        done += 1
        report(done / len(layers))

    hooks = [layer.register_forward_hook(on_layer) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
