"""Samples, and batches drawn from the step's number alone: the same after a resume, by any worker, on any rank."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kidneyseg.arrays import HU, Floats, Indices, Labels, Mask
from kidneyseg.errors import CaseError, ResourceError
from kidneyseg.points.features import hu_features, stage2_features

log = logging.getLogger(__name__)

# A sample that cannot be made is drawn again with other random numbers; so many failures in a row are no accident.
_ATTEMPTS = 8
MIN_POINTS = 100
# A label that the loss takes for any class above 0: kidney in cases whose real lesions are labelled kidney.
ANY_FOREGROUND = np.uint8(255)
# CTs or crops whose anatomy a sampler keeps in memory.
MAX_ANATOMIES = 128


@dataclass(frozen=True)
class Sample:
    """One input of the network."""

    cells: Indices  #: int64 (N, 3), >= 0
    features: Floats  #: float32 (N, C)
    labels: Labels  #: uint8 (N,)
    case: str = ""  #: the name of the case it is from, for messages


def as_sample(kept: Mask, hu: HU, labels: Labels, level: float | None = None) -> Sample:
    """The kept cells of a dense lattice (X, Y, Z), in lexicographic order; with the kidney's HU level for stage 2."""
    grey = hu[kept]
    features = hu_features(grey, 1) if level is None else stage2_features(grey, level, 2)
    return Sample(np.argwhere(kept), features, labels[kept])


def first_usable(draw: Callable[[], tuple[str, Sample | None]], *, tries: int = 50) -> Sample:
    """The first sample that shows enough.

    Args:
        draw: draws a case's name and a sample; None where the sample shows too little.
        tries: how many draws may show too little.

    Raises:
        CaseError: naming the last case.
    """
    for _ in range(tries):
        case, sample = draw()
        if sample is not None:
            return replace(sample, case=case)
    raise CaseError(
        f"{case or 'a case'}: {tries} samples in a row show too little tissue; check this CT and its labels"
    )


class Sampler(Protocol):
    """Draws augmented training samples. Several threads may draw at once."""

    def draw(self, rng: np.random.Generator, step: int = 0) -> Sample:
        """One sample; all random numbers come from `rng`. `step` may select what many steps share."""


@dataclass(frozen=True)
class Batch:
    """Samples as the network takes them."""

    cells: Tensor  #: int64 (N, 4), the sample's index last
    features: Tensor  #: float32 (N, C)
    labels: Tensor  #: int64 (N,)
    samples: tuple[Sample, ...]  #: the samples it consists of

    @staticmethod
    def of(samples: Sequence[Sample]) -> Batch:
        """Join samples, of which there is at least one."""
        cells = [np.column_stack([s.cells, np.full(len(s.cells), i)]).astype(np.int64) for i, s in enumerate(samples)]
        features = np.concatenate([s.features for s in samples])
        labels = np.concatenate([s.labels for s in samples])
        return Batch(
            torch.from_numpy(np.concatenate(cells)),
            torch.from_numpy(features),
            torch.from_numpy(labels).long(),
            tuple(samples),
        )


@dataclass(frozen=True)
class Loader:
    """Draws batches, some of them ahead while the caller computes.

    It uses threads, not processes: drawing spends its time in numpy, scipy and torch, which let other threads run;
    the data need no copies, and a killed run leaves no workers behind.
    """

    sampler: Sampler  #: draws one sample
    seed: int  #: of all random numbers
    shard: Sequence[int]  #: the positions of each batch that are drawn here: all of them, or one rank's share
    workers: int = 0  #: threads that draw ahead; 0 draws each batch on demand

    def batches(self, purpose: int, numbers: Iterable[int]) -> Generator[Batch]:
        """One batch per number, seeded by (seed, purpose, number) and each sample's position in the batch."""
        if self.workers == 0:
            for number in numbers:
                yield Batch.of([self.draw(purpose, number, position) for position in self.shard])
            return
        pool = ThreadPoolExecutor(self.workers, "draw", initializer=torch.set_num_threads, initargs=(1,))
        ahead: deque[list[Future[Sample]]] = deque()
        depth = 1 + math.ceil(self.workers / len(self.shard))
        try:
            for number in numbers:
                ahead.append([pool.submit(self.draw, purpose, number, position) for position in self.shard])
                if len(ahead) > depth:
                    yield Batch.of([sample.result() for sample in ahead.popleft()])
            while ahead:
                yield Batch.of([sample.result() for sample in ahead.popleft()])
        finally:
            pool.shutdown(cancel_futures=True)

    def draw(self, purpose: int, number: int, position: int) -> Sample:
        """The sample at a position of a batch; where a case fails, a warning names it and another sample is drawn.

        Raises:
            ResourceError: when one draw after another fails.
        """
        for attempt in range(_ATTEMPTS):
            try:
                seed = [self.seed, purpose, number, position, attempt]
                return self.sampler.draw(np.random.default_rng(seed), number)
            except CaseError as error:
                log.warning("%s; another sample is drawn instead", error)
                last = error
        raise ResourceError(f"{_ATTEMPTS} samples in a row could not be made; the last one: {last}") from last
