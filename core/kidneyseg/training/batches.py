"""Samples of a step, drawn from the step's number alone: the same after a resume, by any worker, on any rank."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kidneyseg.errors import CaseError, ResourceError

log = logging.getLogger(__name__)

# A sample that cannot be made is drawn again, from other chance; so many failures in a row are no accident.
_ATTEMPTS = 8


@dataclass(frozen=True)
class Sample:
    """What one network input is.

    Attributes:
        cells: int64 (N, 3), >= 0.
        features: float32 (N, C).
        labels: uint8 (N,).
        case: where it comes from, for messages.
    """

    cells: NDArray[np.int64]
    features: NDArray[np.float32]
    labels: NDArray[np.uint8]
    case: str = ""

    def of(self, case: str) -> Sample:
        """The same sample with the name of its case, unless it has one."""
        return self if self.case else replace(self, case=case)


class Sampler(Protocol):
    """Draws augmented training samples. Several threads may draw at once."""

    def draw(self, rng: np.random.Generator, step: int = 0) -> Sample:
        """One sample; all chance comes from `rng`. What `step` it is for may choose what many steps share."""


@dataclass(frozen=True)
class Batch:
    """Samples as the network takes them.

    Attributes:
        cells: int64 (N, 4), the sample's number last.
        features: float32 (N, C).
        labels: int64 (N,).
        samples: what it was made of.
    """

    cells: Tensor
    features: Tensor
    labels: Tensor
    samples: tuple[Sample, ...]

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
    """Draws batches, some of them ahead, while the caller computes.

    Threads, not processes: drawing spends its time in numpy, scipy and torch, which let other threads run; scenes need
    no copies, and a killed run leaves no workers behind.

    Attributes:
        sampler: draws one sample.
        seed: of all chance.
        places: which samples of each batch are drawn here: all of them, or one rank's share.
        workers: threads that draw ahead; 0 draws when a batch is asked for.
    """

    sampler: Sampler
    seed: int
    places: Sequence[int]
    workers: int = 0

    def batches(self, purpose: int, numbers: Iterable[int]) -> Generator[Batch]:
        """One batch a number; its chance is (seed, purpose, number) and the place in the batch."""
        if self.workers == 0:
            for number in numbers:
                yield Batch.of([self.draw(purpose, number, place) for place in self.places])
            return
        pool = ThreadPoolExecutor(self.workers, "draw", initializer=torch.set_num_threads, initargs=(1,))
        ahead: deque[list[Future[Sample]]] = deque()
        depth = 1 + math.ceil(self.workers / len(self.places))
        try:
            for number in numbers:
                ahead.append([pool.submit(self.draw, purpose, number, place) for place in self.places])
                if len(ahead) > depth:
                    yield Batch.of([sample.result() for sample in ahead.popleft()])
            while ahead:
                yield Batch.of([sample.result() for sample in ahead.popleft()])
        finally:
            pool.shutdown(cancel_futures=True)

    def draw(self, purpose: int, number: int, place: int) -> Sample:
        """The sample at a place of a batch; a case that fails is named in a warning and another drawn instead.

        Raises:
            ResourceError: when one draw after the other fails.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self.sampler.draw(np.random.default_rng([self.seed, purpose, number, place, attempt]), number)
            except CaseError as error:
                log.warning("%s; another sample is drawn instead", error)
                last = error
        raise ResourceError(f"{_ATTEMPTS} samples in a row could not be made; the last one: {last}") from last
