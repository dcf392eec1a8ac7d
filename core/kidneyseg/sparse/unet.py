"""The submanifold sparse U-Net of Graham et al. (CVPR 2018), pre-activation, plain or residual.

Its layout follows SparseConvNet's `UNet`, so that checkpoints can be converted both ways (see `sparseconvnet`).
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
        """Logits of every point.

        Args:
            coords: int64 (N, 3) or (N, 4), x, y, z (and batch index last), all >= 0, in any order. N may be 0.
            features: float (N, in_channels).
            spatial_size: if given, coordinates must be below it.
            report: called after each layer with the share that is done, 0 ... 1; may raise to cancel.

        Returns:
            Logits (N, classes) in the order of `coords`.

        Raises:
            ValueError: for coordinates or shapes that do not fit; see `InputLayer`.
            MemoryError: when memory runs out on the CPU; on a GPU torch.OutOfMemoryError.
        """
        with memory.memory_errors():
            return self._logits(coords, features, spatial_size, report)

    def _logits(self, coords: Tensor, features: Tensor, spatial_size: int | None, report: Report) -> Tensor:
        x, rows = self.input(coords, features, spatial_size)
        if not self.training and not torch.is_grad_enabled() and native.supports(x.features):
            fused = FusedPass(report, sum(isinstance(module, _CONVOLUTIONS) for module in self.modules()))
            x = x.with_features(fused.run(x.features, x.level, self.stem, self.unet, self.final_norm))
        else:
            with _reporting(self, report):
                x = self.unet(self.stem(x))
                if self.final_norm is not None:
                    x = self.final_norm(x)
        # The classifier comes before the output layer: a row of logits moves less memory than a row of features.
        logits: Tensor = self.output(x.with_features(self.linear(x.features)), rows, self.linear.bias)
        return logits


_CONVOLUTIONS = (SubmanifoldConv, StridedConv, TransposedConv, NetworkInNetwork)


@contextmanager
def _reporting(network: SparseUNet, report: Report) -> Iterator[None]:
    """Call `report` after every layer."""
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
