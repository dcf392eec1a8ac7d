"""One pass of a network over its sites, level by level, large levels slab by slab.

A level's features take most of the memory of a pass. A large level is therefore never held as a whole: its slabs, with
the neighbours that their convolutions reach, run one after the other, first down to the next coarser level and, once
that is done, up from it. Only the features that the coarser level reads and makes are held for all sites. The way down
runs twice, since its features are needed again beside those of the way up. Every row sums the same products in the same
order, so the results are the same bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from kidneyseg.arrays import Floats
from kidneyseg.sparse import memory, native
from kidneyseg.sparse.layout import Conv, Kind, reads
from kidneyseg.sparse.native import Plan, Target
from kidneyseg.sparse.sites import Sites
from kidneyseg.sparse.slabs import Slab, slabs_of

Report = Callable[[float], None]
Values = dict[int, Floats]  # features of the sites by the number of the value; see `layout`

# A level with more sites runs in slabs of about this many.
_MOST_SITES, _SLAB_SITES = 1 << 21, 1 << 19


class Place(NamedTuple):
    """Where a convolution's result is written: columns of the matrix of a value, through a norm where one is given."""

    value: int
    columns: slice
    scale: Floats | None = None
    shift: Floats | None = None
    leak: float = 0.0


class LevelSteps(NamedTuple):
    """The convolutions of a level in the order in which they run; none but `before` at the coarsest."""

    before: tuple[Conv, ...]
    down: Conv | None  #: to the next coarser level
    up: Conv | None  #: back from it
    after: tuple[Conv, ...]
    out: int  #: the value that the finer level reads, or the logits

    @staticmethod
    def of(convolutions: Sequence[Conv]) -> list[LevelSteps]:
        """Those of a network by level, the finest first."""
        downs = [i for i, conv in enumerate(convolutions) if conv.kind is Kind.DOWN]
        ups = [i for i, conv in enumerate(convolutions) if conv.kind is Kind.UP][::-1]
        found = []
        for first, down, up, end in zip(
            [0, *(i + 1 for i in downs)],
            [*downs, ups[-1] if ups else len(convolutions)],
            [*ups, None],
            [len(convolutions), *ups],
            strict=True,
        ):
            out = convolutions[end].x if end < len(convolutions) else convolutions[-1].out
            before = tuple(convolutions[first:down])
            if up is None:
                found.append(LevelSteps(before, None, None, (), out))
            else:
                after = tuple(convolutions[up + 1 : end])
                found.append(LevelSteps(before, convolutions[down], convolutions[up], after, out))
        return found

    def reach(self, *, after: bool) -> int:
        """How many sites along x its convolutions see, up to `down` or, with `after`, all of them."""
        convolutions = (*self.before, *self.after) if after else self.before
        return sum(conv.kind is Kind.SUBMANIFOLD for conv in convolutions)


class Weights(NamedTuple):
    """A network's weights and where the results of its convolutions are written."""

    filters: Mapping[str, Floats]  #: (K, in, out) by the name of the convolution
    places: Mapping[str, Sequence[Place]]  #: of the result, by the name of the convolution
    widths: Mapping[int, int]  #: of the values that are matrices


@dataclass
class Seconds:
    """Wall-clock time of all passes of a network so far, by what they did."""

    maps: float = 0.0  #: merging points into sites and making kernel maps
    convolutions: float = 0.0  #: convolutions with their norms

    @contextmanager
    def counting(self, part: Literal["maps", "convolutions"]) -> Iterator[None]:
        """Add the time that the body takes."""
        started = time.perf_counter()
        yield
        setattr(self, part, getattr(self, part) + time.perf_counter() - started)


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


class Pass:
    """One pass.

    Args:
        levels: the network's convolutions by level, the finest first.
        weights: of the network.
        report: called after each convolution with the share that is done.
        seconds: to which the time is added.
        mirrored: whether the sites are those of `Level.mirrored`.
    """

    def __init__(
        self, levels: Sequence[LevelSteps], weights: Weights, report: Report, seconds: Seconds, *, mirrored: bool
    ) -> None:
        self._levels, self._weights, self._report = levels, weights, report
        self._seconds, self._mirrored = seconds, mirrored
        self._pool = BufferPool()
        self._done = 0.0
        self._all = sum(len(one.before) + len(one.after) + 2 * (one.down is not None) for one in levels)

    def logits(self, sites: Sites, features: Floats) -> Floats:
        """float32 (sites, classes) of the finest level's sites with their features (sites, C)."""
        return self._level(0, sites, {0: features})

    def _level(self, number: int, sites: Sites, values: Values) -> Floats:
        """The result of a level and all coarser ones. The given values are returned to the pool."""
        steps = self._levels[number]
        if steps.down is None or steps.up is None:
            self._run(steps.before, sites, values, {steps.out})
            return values[steps.out]
        if len(sites) > _MOST_SITES:
            with self._seconds.counting("maps"):
                slabs = slabs_of(sites, sites.down().coarse, _SLAB_SITES)
            return self._level_in_slabs(number, sites, values, slabs)
        with self._seconds.counting("maps"):
            down = sites.down()
        later = _read_by(steps.after)
        self._run(steps.before, sites, values, {steps.down.x} | later)
        coarse: Values = {}
        self._convolve(steps.down, lambda: down.children.plan, values, coarse)
        self._drop(values, steps.down.x)
        inner = {steps.up.x: self._level(number + 1, down.coarse, coarse)}
        self._convolve(steps.up, lambda: down.parents.plan, inner, values)
        self._drop(inner, steps.up.x)
        self._run(steps.after, sites, values, {steps.out})
        return values[steps.out]

    def _level_in_slabs(self, number: int, sites: Sites, values: Values, slabs: list[Slab]) -> Floats:
        """`_level`, slab by slab."""
        steps, share = self._levels[number], 1 / len(slabs)
        assert steps.up is not None
        coarse = self._down_in_slabs(steps, sites, values, slabs)
        coarser, parent, slot = sites.down().coarse, sites.down().parents.parent, sites.down().parents.slot
        sites.release()
        inner = {steps.up.x: self._level(number + 1, coarser, coarse)}
        coarser.release()
        out = self._take(steps.out, len(sites))
        for slab in slabs:
            rows, own = slab.around(steps.reach(after=True)), slab.rows
            part, part_sites = {value: whole[rows] for value, whole in values.items()}, _part(sites, rows)
            self._run(steps.before, part_sites, part, {*values} | _read_by(steps.after), share / 2)
            plan = partial(Plan.of_parents, parent[rows], slot[rows])
            self._convolve(steps.up, plan, inner, part, share)
            self._run(steps.after, part_sites, part, {steps.out}, share)
            out[own] = part[steps.out][own.start - rows.start : own.stop - rows.start]
            self._drop(part, steps.out)
        self._drop(inner, steps.up.x)
        self._drop(values, *values)
        return out

    def _down_in_slabs(self, steps: LevelSteps, sites: Sites, values: Values, slabs: list[Slab]) -> Values:
        """The values that the coarser level reads."""
        assert steps.down is not None
        down = sites.down()
        places = self._weights.places[steps.down.name]
        coarse = {place.value: self._take(place.value, len(down.coarse)) for place in places}
        for slab in slabs:
            rows = slab.around(steps.reach(after=False))
            part = {value: whole[rows] for value, whole in values.items()}
            self._run(steps.before, _part(sites, rows), part, {*values, steps.down.x}, 0.5 / len(slabs))
            children = down.children.table[slab.coarse]
            plan = partial(Plan.of_table, np.where(children < 0, children, children - np.int32(rows.start)))
            to = {value: whole[slab.coarse] for value, whole in coarse.items()}
            self._convolve(steps.down, plan, part, to, 1 / len(slabs))
            self._drop(part, steps.down.x)
        return coarse

    def _run(
        self, convolutions: Sequence[Conv], sites: Sites, values: Values, keep: set[int], share: float = 1.0
    ) -> None:
        """Runs convolutions among the sites of a level; of the values only those to keep are left."""
        last = {value: conv for conv in convolutions for value in reads(conv)}
        for conv in convolutions:
            plan = partial(_plan_among, sites, conv)
            self._convolve(conv, plan, values, values, share, keep | last.keys())
            self._drop(values, *(value for value in {*reads(conv)} - keep if last[value] is conv))

    def _convolve(
        self,
        conv: Conv,
        plan: Callable[[], Plan],
        values: Values,
        results: Values,
        share: float = 1.0,
        wanted: Container[int] | None = None,
    ) -> None:
        """Writes the result of a convolution of `values` to those of `results` that are wanted; makes the missing."""
        with self._seconds.counting("maps"):
            made = plan()
        targets = []
        for place in self._weights.places[conv.name]:
            if wanted is None or place.value in wanted:
                if place.value not in results:
                    results[place.value] = self._take(place.value, made.rows)
                rows = results[place.value][:, place.columns]
                targets.append(Target(rows, place.scale, place.shift, place.leak))
        start = None if conv.plus is None else values[conv.plus]
        weight = self._weights.filters[conv.name]
        with self._seconds.counting("convolutions"):
            native.conv_into(values[conv.x], made, weight, targets, start, mirrored=self._mirrored)
        self._done += share
        self._report(round(self._done / self._all, 9))  # sums of shares are not exact

    def _take(self, value: int, rows: int) -> Floats:
        return self._pool.take(rows, self._weights.widths[value])

    def _drop(self, values: Values, *dropped: int) -> None:
        """Forgets values whose memory can be reused; that of the features, value 0, belongs to the caller."""
        for value in dropped:
            matrix = values.pop(value)
            if value:
                self._pool.put_back(matrix)


def make_maps(convolutions: Sequence[Conv], sites: Sites) -> None:
    """Make all plans of a network's convolutions on the sites of its finest level, which keep them."""
    for number, steps in enumerate(LevelSteps.of(convolutions)):
        if number:
            sites = sites.down().coarse
        for conv in (*steps.before, *steps.after):
            _plan_among(sites, conv)
        if steps.down is not None:
            _ = sites.down().children.plan, sites.down().parents.plan


def _plan_among(sites: Sites, conv: Conv) -> Plan:
    """The plan of a convolution among the sites of a level."""
    return sites.neighbours(3 if conv.kind is Kind.SUBMANIFOLD else 1).plan


def _read_by(convolutions: Sequence[Conv]) -> set[int]:
    return {value for conv in convolutions for value in reads(conv)}


def _part(sites: Sites, rows: slice) -> Sites:
    """Some consecutive sites of a level."""
    return Sites(sites.keys[rows], sites.packing, native)
