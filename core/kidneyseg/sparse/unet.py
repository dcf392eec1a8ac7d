"""The network as a torch module: its parameters by name, and its steps on tensors, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Unpack, cast

import torch
from torch import Tensor, nn

from kidneyseg.arrays import Floats
from kidneyseg.sparse import bridge, functional, memory
from kidneyseg.sparse.inference import NativeUNet
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
from kidneyseg.sparse.layout import Conv, Join, Kind, Layout, LayoutOptions, Norm, reads
from kidneyseg.sparse.network import Network
from kidneyseg.sparse.passes import Report

_CONVOLUTIONS: dict[Kind, Callable[[int, int], nn.Module]] = {
    Kind.SUBMANIFOLD: SubmanifoldConv,
    Kind.DOWN: StridedConv,
    Kind.UP: TransposedConv,
    Kind.POINTWISE: NetworkInNetwork,
    Kind.CLASSIFIER: nn.Linear,
}


class SparseUNet(nn.Module):
    """Points in, logits out: input merging, 3x3x3 convolution, U-Net, final norm, linear classifier.

    Its modules hold parameters; `Layout`, which has the same arguments, says in which order they run.

    Attributes:
        layout: the steps.
        config: the constructor's arguments, enough to build an equal network.
    """

    def __init__(self, in_channels: int, classes: int, planes: Sequence[int], **options: Unpack[LayoutOptions]) -> None:
        super().__init__()
        self.layout = Layout(in_channels, classes, planes, **options)
        self.config = self.layout.config
        self.input, self.output = InputLayer(self.layout.input_mode), OutputLayer()
        for step in self.layout.steps:
            match step:
                case Norm():
                    _add(self, step.name, BatchNormReLU(step.channels))
                case Conv():
                    _add(self, step.name, _CONVOLUTIONS[step.kind](step.in_channels, step.out_channels))

    @staticmethod
    def of(network: Network) -> SparseUNet:
        """The module with a network's weights, in eval mode."""
        module = SparseUNet(**network.config)
        module.load_state_dict({name: torch.from_numpy(weight) for name, weight in network.weights.items()})
        return module.eval()

    @property
    def arrays(self) -> Network:
        """The network as arrays; those on the CPU share its memory."""
        weights = {name: cast(Floats, bridge.array_of(value.cpu())) for name, value in self.state_dict().items()}
        return Network(self.layout, weights)

    def forward(
        self, coords: Tensor, features: Tensor, spatial_size: int | None = None, *, report: Report = lambda _: None
    ) -> Tensor:
        """Logits of every point.

        Args:
            coords: int64 (N, 3) or (N, 4), x, y, z (and batch index last), all >= 0, in any order. N may be 0.
            features: float (N, in_channels).
            spatial_size: if given, coordinates must be below it.
            report: called after each convolution with the share that is done, 0 ... 1; may raise to cancel.

        Returns:
            Logits (N, classes) in the order of `coords`.

        Raises:
            ValueError: for coordinates or shapes that do not fit; see `InputLayer`.
            MemoryError: when memory runs out on the CPU; on a GPU torch.OutOfMemoryError.
        """
        with memory.memory_errors():
            x, rows = self.input(coords, features, spatial_size)
            if not self.training and not torch.is_grad_enabled() and bridge.supports(x.features):
                native = NativeUNet(self.layout, self.arrays.weights)
                array = native.logits_of_sites(x.level, bridge.array_of(x.features), report)
                logits = x.with_features(bridge.tensor_of(array))
            else:
                logits = self._logits(x, report)
            return cast(Tensor, self.output(logits, rows, self.get_submodule("linear").bias))

    def _logits(self, x: SparseTensor, report: Report) -> SparseTensor:
        values, levels, done = {0: x}, [x.level], 0
        last_reader = {value: step for step in self.layout.steps for value in reads(step)}
        out = x
        for step in self.layout.steps:
            match step:
                case Norm():
                    out = self.get_submodule(step.name)(values[step.x])
                case Join():
                    left, right = values[step.left], values[step.right]
                    out = left.with_features(functional.join(left.features, right.features))
                case Conv():
                    out = self._convolved(step, values[step.x], levels)
                    if step.plus is not None:
                        out = out.with_features(values[step.plus].features + out.features)
                    done += 1
                    report(done / len(self.layout.convolutions))
            values[step.out] = out
            for value in set(reads(step)):
                if last_reader[value] is step:
                    del values[value]  # so that memory is freed early
        return out

    def _convolved(self, conv: Conv, x: SparseTensor, levels: list[Any]) -> SparseTensor:
        module = self.get_submodule(conv.name)
        match conv.kind:
            case Kind.CLASSIFIER:
                # Before the output layer: a row of logits moves less memory than a row of features.
                return x.with_features(module(x.features))
            case Kind.UP:
                return cast(SparseTensor, module(x, levels[conv.level]))
        out = cast(SparseTensor, module(x))
        levels[conv.level :] = [out.level]
        return out


def _add(root: nn.Module, name: str, module: nn.Module) -> None:
    """Add a module under a dotted name; numbers are places in a ModuleList."""
    path = name.split(".")
    for part, following in pairwise(path):
        if part not in root._modules:
            root.add_module(part, nn.ModuleList() if following.isdecimal() else nn.Module())
        root = root.get_submodule(part)
    root.add_module(path[-1], module)
