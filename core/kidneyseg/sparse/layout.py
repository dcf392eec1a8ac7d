"""The U-Net as a list of steps: the one description of the network, which every backend carries out.

It is that of Graham et al. (CVPR 2018), pre-activation, plain or residual, and follows SparseConvNet's `UNet`, so that
checkpoints can be converted both ways (see `sparseconvnet`). A step reads values and makes one; value 0 is the features
of the sites, and the last step makes the logits. `inference` carries the steps out on arrays, `unet` on tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from enum import StrEnum
from functools import cached_property
from itertools import count
from typing import Any, TypedDict

EPS = 1e-4  # of the norms: added to the variance


class Kind(StrEnum):
    """What a convolution reads and writes."""

    SUBMANIFOLD = "submanifold"  #: filter 3, to the same sites
    DOWN = "down"  #: filter 2, stride 2, to the next coarser level
    UP = "up"  #: the transpose of DOWN, to the sites of the finer level
    POINTWISE = "pointwise"  #: a linear map of each site's features
    CLASSIFIER = "classifier"  #: the same with a bias


@dataclass(frozen=True)
class Norm:
    """`out = relu(batch_norm(x))`."""

    name: str  #: prefix of its parameters' names
    x: int
    out: int
    channels: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter and buffer by its full name."""
        entries = ("weight", "bias", "running_mean", "running_var")
        return {f"{self.name}.{entry}": (self.channels,) for entry in entries}


@dataclass(frozen=True)
class Conv:
    """`out = convolution of x`, `+ plus` where one is given."""

    name: str  #: prefix of its parameters' names
    kind: Kind
    x: int
    out: int
    in_channels: int
    out_channels: int
    level: int  #: of its output sites: 0 is the finest
    plus: int | None = None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter by its full name."""
        channels = self.in_channels, self.out_channels
        match self.kind:
            case Kind.CLASSIFIER:
                return {f"{self.name}.weight": channels[::-1], f"{self.name}.bias": channels[1:]}
            case Kind.POINTWISE:
                return {f"{self.name}.weight": channels}
        return {f"{self.name}.weight": (27 if self.kind is Kind.SUBMANIFOLD else 8, 1, *channels)}


@dataclass(frozen=True)
class Join:
    """`out = left and right, concatenated`."""

    left: int
    right: int
    out: int
    left_channels: int


Step = Norm | Conv | Join


class LayoutOptions(TypedDict, total=False):
    """The arguments of a `Layout` that have defaults; it says what they mean."""

    block_reps: int
    residual: bool
    final_norm: bool
    input_mode: int


@dataclass(frozen=True)
class Layout:
    """The steps of a network.

    Raises:
        ValueError: for numbers that make no network.
    """

    in_channels: int  #: features per point
    classes: int  #: logits per point
    planes: Sequence[int]  #: channels of each level, the finest first
    _: KW_ONLY
    block_reps: int = 1  #: blocks before and after the coarser levels
    residual: bool = False  #: residual blocks instead of plain ones
    final_norm: bool = True  #: whether a norm precedes the classifier
    input_mode: int = 4  #: how points on one site are merged; see `layers.InputLayer`

    def __post_init__(self) -> None:
        planes = list(self.planes)
        if min(self.in_channels, self.classes, self.block_reps, *planes) < 1 or not planes:
            raise ValueError(f"no network has {self.in_channels} channels, {self.classes} classes, planes {planes}")
        if self.input_mode not in range(5):
            raise ValueError(f"input mode must be 0 to 4, not {self.input_mode}")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The arguments that make an equal layout, ready for JSON."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"planes": list(self.planes)}

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """In the order in which they run."""
        return tuple(_Steps(self.in_channels).of(self))

    @property
    def convolutions(self) -> tuple[Conv, ...]:
        """Those of the steps that are convolutions."""
        return tuple(step for step in self.steps if isinstance(step, Conv))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each entry of the state_dict by its name."""
        return {name: shape for step in self.steps if not isinstance(step, Join) for name, shape in step.shapes.items()}

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless a state_dict has entries of these names and shapes."""
        own = self.shapes
        wrong = sorted(name for name in own.keys() | shapes.keys() if own.get(name) != shapes.get(name))
        if wrong:
            name = wrong[0]
            raise ValueError(f"{name} has shape {shapes.get(name, 'none')}, not {own.get(name, 'none')}")


def reads(step: Step) -> tuple[int, ...]:
    """The values that a step reads."""
    match step:
        case Norm():
            return (step.x,)
        case Join():
            return step.left, step.right
    return (step.x,) if step.plus is None else (step.x, step.plus)


class _Steps:
    """Lists steps. Its methods append to the list and return the value that they make."""

    def __init__(self, in_channels: int) -> None:
        self._steps: list[Step] = []
        self._channels, self._next = {0: in_channels}, count(1)

    def of(self, layout: Layout) -> list[Step]:
        x = self._conv("stem", Kind.SUBMANIFOLD, 0, layout.planes[0], 0)
        x = self._level("unet", x, layout.planes, (layout.block_reps, layout.residual), 0)
        if layout.final_norm:
            x = self._norm("final_norm", x)
        self._conv("linear", Kind.CLASSIFIER, x, layout.classes, 0)
        return self._steps

    def _level(self, name: str, x: int, planes: Sequence[int], blocks: tuple[int, bool], level: int) -> int:
        """Blocks, then, unless it is the deepest, the coarser levels, concatenation and more blocks."""
        reps, residual = blocks
        block, (here, *coarser) = self._residual_block if residual else self._plain_block, planes
        for i in range(reps):
            x = block(f"{name}.before.{i}", x, here, level)
        if not coarser:
            return x
        inner = self._norm(f"{name}.down_norm", x)
        inner = self._conv(f"{name}.down", Kind.DOWN, inner, coarser[0], level + 1)
        inner = self._level(f"{name}.deeper", inner, coarser, blocks, level + 1)
        inner = self._norm(f"{name}.up_norm", inner)
        x = self._join(x, self._conv(f"{name}.up", Kind.UP, inner, here, level))
        for i in range(reps):
            x = block(f"{name}.after.{i}", x, here, level)
        return x

    def _plain_block(self, name: str, x: int, channels: int, level: int, plus: int | None = None) -> int:
        return self._conv(f"{name}.conv", Kind.SUBMANIFOLD, self._norm(f"{name}.norm", x), channels, level, plus)

    def _residual_block(self, name: str, x: int, channels: int, level: int) -> int:
        """Two plain blocks plus a shortcut, which is a linear map if the number of channels changes."""
        shortcut = x
        if self._channels[x] != channels:
            shortcut = self._conv(f"{name}.shortcut", Kind.POINTWISE, x, channels, level)
        return self._plain_block(
            f"{name}.second", self._plain_block(f"{name}.first", x, channels, level), channels, level, shortcut
        )

    def _norm(self, name: str, x: int) -> int:
        out = self._made(self._channels[x])
        self._steps.append(Norm(name, x, out, self._channels[x]))
        return out

    def _conv(self, name: str, kind: Kind, x: int, channels: int, level: int, plus: int | None = None) -> int:
        out = self._made(channels)
        self._steps.append(Conv(name, kind, x, out, self._channels[x], channels, level, plus))
        return out

    def _join(self, left: int, right: int) -> int:
        out = self._made(self._channels[left] + self._channels[right])
        self._steps.append(Join(left, right, out, self._channels[left]))
        return out

    def _made(self, channels: int) -> int:
        out = next(self._next)
        self._channels[out] = channels
        return out
