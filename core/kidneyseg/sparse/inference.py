"""A network's steps on the native kernels and arrays, with its norms fused into the convolutions.

Convolutions read `relu(norm(x))`, and at inference a norm is a scale and a shift. Each convolution therefore writes its
result, while it is in the cache, in every form in which it is read: through the norm before the next convolution,
through the norm before the strided one, into its half of a concatenation, and raw for a shortcut. Buffers are reused
after they were read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kidneyseg.arrays import Floats, Indices
from kidneyseg.sparse import memory, native
from kidneyseg.sparse.layout import EPS, Conv, Join, Kind, Layout, Norm, reads
from kidneyseg.sparse.native import Plan, Target
from kidneyseg.sparse.sites import Sites, merge, spread

Report = Callable[[float], None]


@dataclass(frozen=True)
class _Place:
    """Where a convolution's result is written: columns of the buffer of a value, through a norm where one is given."""

    value: int
    columns: slice
    scale: Floats | None
    shift: Floats | None


@dataclass
class Seconds:
    """Wall-clock time of all passes of a network so far, by what they did."""

    maps: float = 0.0  #: merging points into sites and making kernel maps
    convolutions: float = 0.0  #: convolutions with their norms


class NativeUNet:
    """A network in eval mode on the native kernels. Needs no torch.

    Args:
        layout: its steps.
        weights: float32 by name, as in the state_dict of a `SparseUNet`.

    Attributes:
        seconds: what its passes have taken.
    """

    def __init__(self, layout: Layout, weights: Mapping[str, Floats]) -> None:
        self.layout, self.seconds = layout, Seconds()
        self._folded = {step.name: _folded(step, weights) for step in layout.steps if isinstance(step, Norm)}
        self._filters = {conv.name: _filter(conv, weights) for conv in layout.convolutions}
        self._bias = weights[f"{layout.convolutions[-1].name}.bias"]
        self._places = {conv.name: self._places_of(conv) for conv in layout.convolutions}
        #: width of each value that a convolution reads and therefore has a buffer
        self._widths = {conv.x: conv.in_channels for conv in layout.convolutions}
        self._widths |= {conv.plus: conv.out_channels for conv in layout.convolutions if conv.plus is not None}
        self._last_reader = {value: conv.name for conv in layout.convolutions for value in reads(conv)}

    def __call__(
        self, coords: Indices, features: Floats, spatial_size: int | None = None, *, report: Report = lambda _: None
    ) -> Floats:
        """Logits float32 (N, classes) of every point; see `SparseUNet.forward`."""
        level, x, rows = self._merged(coords, features, spatial_size)
        return spread(self.logits_of_sites(level, x, report), rows, self._bias)

    def of_both_sides(self, coords: Indices, features: Floats, *, report: Report) -> Iterator[Floats]:
        """Logits of every point, and then those that the mirror image of all points along x gives, bit for bit.

        The second pass takes the sites and the kernel maps of the first where they are the same in a mirror.

        Args:
            coords: int64 (N, 3), N > 0, all >= 0.
            features: float32 (N, in_channels).
            report: as in a call; 0 ... 1 of both passes.
        """
        level, x, rows = self._merged(coords, features)
        yield spread(self.logits_of_sites(level, x, lambda share: report(share / 2)), rows, self._bias)
        level = level.mirrored(len(self.layout.config["planes"]) - 1)
        logits = self.logits_of_sites(level, x, lambda share: report(0.5 + share / 2), mirrored=True)
        yield spread(logits, rows, self._bias)

    def logits_of_sites(self, level: Sites, features: Floats, report: Report, *, mirrored: bool = False) -> Floats:
        """Logits float32 (sites, classes) of the sites of a level, or of `Level.mirrored`, with their features."""
        levels, buffers, pool = [level], {0: features}, BufferPool()
        *convolutions, classifier = self.layout.convolutions
        for done, conv in enumerate(convolutions, start=1):
            plan, rows = self._timed_plan(conv, levels), len(levels[conv.level])
            targets = []
            for place in self._places[conv.name]:
                if place.value not in buffers:
                    buffers[place.value] = pool.take(rows, self._widths[place.value])
                targets.append(Target(buffers[place.value][:, place.columns], place.scale, place.shift))
            start = None if conv.plus is None else buffers[conv.plus]
            self._convolve(conv, buffers[conv.x], plan, targets, start, mirrored=mirrored)
            for value in {*reads(conv)} - {0}:
                if self._last_reader[value] == conv.name:
                    pool.put_back(buffers.pop(value))
            report(done / (len(convolutions) + 1))
        logits = memory.empty(len(level), classifier.out_channels)
        with_bias = Target(logits, np.ones_like(self._bias), self._bias, leak=1.0)
        plan = self._timed_plan(classifier, levels)
        self._convolve(classifier, buffers[classifier.x], plan, [with_bias], mirrored=mirrored)
        report(1.0)
        return logits

    def _merged(
        self, coords: Indices, features: Floats, spatial_size: int | None = None
    ) -> tuple[Sites, Floats, Indices | None]:
        started = time.perf_counter()
        merged = merge(coords, features, self.layout.config["input_mode"], spatial_size)
        self.seconds.maps += time.perf_counter() - started
        return merged

    def _timed_plan(self, conv: Conv, levels: list[Sites]) -> Plan:
        started = time.perf_counter()
        plan = plan_of(conv, levels)
        self.seconds.maps += time.perf_counter() - started
        return plan

    def _convolve(
        self,
        conv: Conv,
        x: Floats,
        plan: Plan,
        targets: Sequence[Target],
        start: Floats | None = None,
        *,
        mirrored: bool,
    ) -> None:
        started = time.perf_counter()
        native.conv_into(x, plan, self._filters[conv.name], targets, start, mirrored=mirrored)
        self.seconds.convolutions += time.perf_counter() - started

    def _places_of(self, conv: Conv) -> list[_Place]:
        """All places of a convolution's result, each once."""
        places = self._followed(conv.out, slice(0, conv.out_channels), None, None)
        return list({(place.value, place.columns.start): place for place in places}.values())

    def _followed(self, value: int, columns: slice, scale: Floats | None, shift: Floats | None) -> Iterator[_Place]:
        """The places of these columns of a value: its own, and those of what norms and concatenations make of it."""
        for step in self.layout.steps:
            if value not in reads(step):
                continue
            match step:
                case Conv():
                    yield _Place(value, columns, scale, shift)
                case Norm():
                    yield from self._followed(step.out, columns, *(part[columns] for part in self._folded[step.name]))
                case Join():
                    begin = columns.start + (step.left_channels if value == step.right else 0)
                    width = columns.stop - columns.start
                    yield from self._followed(step.out, slice(begin, begin + width), scale, shift)


class BufferPool:
    """Matrices whose memory is reused after they were returned."""

    def __init__(self) -> None:
        self._free: list[Floats] = []
        self._taken: dict[int, Floats] = {}  # by address

    def take(self, rows: int, channels: int) -> Floats:
        """float32 (rows, channels), not initialised."""
        size = rows * channels
        fitting = [buffer for buffer in self._free if len(buffer) >= size]
        if fitting:
            whole = min(fitting, key=len)
            self._free = [buffer for buffer in self._free if buffer is not whole]
        else:
            whole = memory.empty(max(size, 1), 1).reshape(-1)
        self._taken[memory.address(whole)] = whole
        return whole[:size].reshape(rows, channels)

    def put_back(self, *matrices: Floats) -> None:
        """Return matrices from `take`."""
        self._free += [self._taken.pop(memory.address(matrix)) for matrix in matrices]


def plan_of(conv: Conv, levels: list[Sites]) -> Plan:
    """The plan of a convolution, made on first use; DOWN appends its level to those that were reached."""
    match conv.kind:
        case Kind.SUBMANIFOLD:
            return levels[conv.level].neighbours(3).plan
        case Kind.DOWN:
            down = levels[conv.level - 1].down()
            levels[conv.level :] = [down.coarse]
            return down.children.plan
        case Kind.UP:
            return levels[conv.level].down().parents.plan
    return levels[conv.level].neighbours(1).plan


def _folded(norm: Norm, weights: Mapping[str, Floats]) -> Sequence[Floats]:
    """The scale and shift of a norm with its running statistics."""
    weight, bias, mean, variance = (weights[name] for name in norm.shapes)
    scale = weight * (np.float32(1) / np.sqrt(variance + np.float32(EPS)))
    return scale, bias - mean * scale


def _filter(conv: Conv, weights: Mapping[str, Floats]) -> Floats:
    """Its weight as (K, in, out)."""
    weight = weights[f"{conv.name}.weight"]
    match conv.kind:
        case Kind.CLASSIFIER:
            return weight.T[None]
        case Kind.POINTWISE:
            return weight[None]
    return weight[:, 0]
