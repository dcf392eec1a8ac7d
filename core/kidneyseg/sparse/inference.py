"""A network's steps on the native kernels and arrays, with its norms fused into the convolutions.

Convolutions read `relu(norm(x))`, and at inference a norm is a scale and a shift. Each convolution therefore writes its
result, while it is in the cache, in every form in which it is read: through the norm before the next convolution,
through the norm before the strided one, into its half of a concatenation, and raw for a shortcut. `passes` runs the
steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kidneyseg.arrays import Floats, Indices
from kidneyseg.sparse.layout import EPS, Conv, Join, Kind, Layout, Norm, reads
from kidneyseg.sparse.passes import LevelSteps, Pass, Place, Report, Seconds, Weights
from kidneyseg.sparse.sites import Sites, merge, spread


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
        *others, classifier = layout.convolutions
        self._bias = weights[f"{classifier.name}.bias"]
        filters = {conv.name: _filter(conv, weights) for conv in layout.convolutions}
        places = {conv.name: self._places_of(conv) for conv in others}
        with_bias = Place(classifier.out, slice(0, classifier.out_channels), np.ones_like(self._bias), self._bias, 1.0)
        places[classifier.name] = [with_bias]
        # Of each value that a convolution reads and therefore has a buffer, and of the logits.
        widths = {conv.x: conv.in_channels for conv in layout.convolutions}
        widths |= {conv.plus: conv.out_channels for conv in layout.convolutions if conv.plus is not None}
        widths[classifier.out] = classifier.out_channels
        self._weights = Weights(filters, places, widths)
        self._levels = LevelSteps.of(layout.convolutions)

    def __call__(
        self,
        coords: Indices | NDArray[np.int32],
        features: Floats,
        spatial_size: int | None = None,
        *,
        report: Report = lambda _: None,
    ) -> Floats:
        """Logits float32 (N, classes) of every point; see `SparseUNet.forward`."""
        level, x, rows = self._merged(coords, features, spatial_size)
        return spread(self.logits_of_sites(level, x, report), rows, self._bias)

    def of_both_sides(
        self, coords: Indices | NDArray[np.int32], features: Floats, *, report: Report
    ) -> Iterator[Floats]:
        """Logits of every point, and then those that the mirror image of all points along x gives, bit for bit.

        The second pass takes the sites and the kernel maps of the first where they are the same in a mirror.

        Args:
            coords: int64 or int32 (N, 3), N > 0, all >= 0.
            features: float32 (N, in_channels).
            report: as in a call; 0 ... 1 of both passes.
        """
        level, x, rows = self._merged(coords, features)
        yield spread(self.logits_of_sites(level, x, lambda share: report(share / 2)), rows, self._bias)
        level = level.mirrored(len(self.layout.planes) - 1)
        logits = self.logits_of_sites(level, x, lambda share: report(0.5 + share / 2), mirrored=True)
        yield spread(logits, rows, self._bias)

    def logits_of_sites(self, level: Sites, features: Floats, report: Report, *, mirrored: bool = False) -> Floats:
        """Logits float32 (sites, classes) of the sites of a level, or of `Level.mirrored`, with their features."""
        return Pass(self._levels, self._weights, report, self.seconds, mirrored=mirrored).logits(level, features)

    def _merged(
        self, coords: Indices | NDArray[np.int32], features: Floats, spatial_size: int | None = None
    ) -> tuple[Sites, Floats, Indices | None]:
        with self.seconds.counting("maps"):
            return merge(coords, features, self.layout.input_mode, spatial_size)

    def _places_of(self, conv: Conv) -> list[Place]:
        """All places of a convolution's result, each once."""
        places = self._followed(conv.out, slice(0, conv.out_channels), None, None)
        return list({(place.value, place.columns.start): place for place in places}.values())

    def _followed(self, value: int, columns: slice, scale: Floats | None, shift: Floats | None) -> Iterator[Place]:
        """The places of these columns of a value: its own, and those of what norms and concatenations make of it."""
        for step in self.layout.steps:
            if value not in reads(step):
                continue
            match step:
                case Conv():
                    yield Place(value, columns, scale, shift)
                case Norm():
                    yield from self._followed(step.out, columns, *(part[columns] for part in self._folded[step.name]))
                case Join():
                    begin = columns.start + (step.left_channels if value == step.right else 0)
                    width = columns.stop - columns.start
                    yield from self._followed(step.out, slice(begin, begin + width), scale, shift)


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
