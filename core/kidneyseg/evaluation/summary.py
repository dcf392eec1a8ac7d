"""Summary of many scores: mean, median, 5th percentile, bootstrap interval, and detection by lesion size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kidneyseg.evaluation.lesions import SIZE_BOUNDS_ML
from kidneyseg.evaluation.scores import CaseScore
from kidneyseg.metrics import point_iou

# Enough that the bounds of an interval hardly depend on the seed.
_RESAMPLES = 10_000
_SEED = 0

_AT_LEAST_ML = 1.0


@dataclass(frozen=True)
class Statistic:
    """A score over `count` masks, with the 95 % bootstrap interval (low, high) of its mean."""

    count: int
    mean: float
    median: float
    percentile_5: float
    low: float
    high: float


@dataclass(frozen=True)
class SizeClassDetection:
    """Detection of the lesions of one size class over all masks."""

    size: str  #: the class, e.g. "1-4 mL"
    lesions: int  #: number of true tumours of that size
    detected: int  #: how many of them were detected
    #: detected / lesions and its 95 % bootstrap interval (value, low, high); None without a lesion
    sensitivity: tuple[float, float, float] | None
    false_positives: int  #: number of false positives of that (predicted) size
    per_case: tuple[float, float, float]  #: false_positives / masks and its interval


@dataclass(frozen=True)
class Summary:
    """All masks of a group."""

    masks: int  #: number of masks
    cases: int  #: number of CTs
    #: by column name, in the order of `CaseScore.figures`, without those that no mask has
    figures: dict[str, Statistic]
    #: by size, smallest first, then at least 1 mL, then all. Empty without lesions and false positives.
    detection: tuple[SizeClassDetection, ...]
    #: IoU of tissue and kidney with tumour (the paper's stage 1), and of tissue, kidney and tumour, over the pooled
    #: points of all masks; None where a mask was scored without its CT
    point_iou: tuple[list[float], list[float]] | None


def summarise(scores: Sequence[CaseScore]) -> Summary:
    """Summarise the scores of one group of masks.

    The bootstrap draws CTs, each with all its masks, 10,000 times with a fixed seed. Masks of the same CT are not
    independent; drawing them one by one would make the interval too narrow.

    Raises:
        ValueError: without a score.
    """
    if not scores:
        raise ValueError("there are no scores to summarise")
    bootstrap = bootstrap_over_cts(scores)
    rows = [score.figures() for score in scores]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return Summary(
        masks=len(scores),
        cases=len({score.case for score in scores}),
        figures={
            name: _statistic(values, bootstrap)
            for name, values in columns.items()
            if any(v is not None for v in values)
        },
        detection=_detection(scores, bootstrap),
        point_iou=_pooled_iou(scores),
    )


class Bootstrap:
    """Resamples of the CTs, the same for every figure.

    Args:
        unit: (N,) number of each mask's CT, from 0 on.
    """

    def __init__(self, unit: NDArray[np.intp]) -> None:
        self._unit, self._units = unit, int(unit.max()) + 1
        rng = np.random.default_rng(_SEED)
        drawn = rng.integers(self._units, size=(_RESAMPLES, self._units))
        self._counts = np.stack([np.bincount(row, minlength=self._units) for row in drawn])

    def interval(self, numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> tuple[float, float]:
        """95 % interval of sum(numerator) / sum(denominator); resamples whose denominator is 0 are left out."""
        above, below = (
            self._counts @ np.bincount(self._unit, values, self._units) for values in (numerator, denominator)
        )
        low, high = np.percentile(above[below > 0] / below[below > 0], [2.5, 97.5])
        return float(low), float(high)


def bootstrap_over_cts(scores: Sequence[CaseScore]) -> Bootstrap:
    """Resamples of the CTs of these masks."""
    names = list(dict.fromkeys(score.case for score in scores))
    return Bootstrap(np.array([names.index(score.case) for score in scores]))


def _statistic(values: list[float | None], bootstrap: Bootstrap) -> Statistic:
    there = np.array([value is not None for value in values])
    numbers = np.array([0.0 if value is None else value for value in values])
    own = numbers[there]
    low, high = bootstrap.interval(numbers, there.astype(np.float64))
    return Statistic(len(own), float(own.mean()), float(np.median(own)), float(np.percentile(own, 5)), low, high)


def _detection(scores: Sequence[CaseScore], bootstrap: Bootstrap) -> tuple[SizeClassDetection, ...]:
    if not any(score.lesions or score.false_positives_ml for score in scores):
        return ()
    bounds = (0.0, *SIZE_BOUNDS_ML, np.inf)
    classes = [(size_text(low, high), low, high) for low, high in pairwise(bounds)]
    classes += [(size_text(_AT_LEAST_ML, np.inf), _AT_LEAST_ML, np.inf), ("all", 0.0, np.inf)]
    return tuple(_detection_of(size, low, high, scores, bootstrap) for size, low, high in classes)


def _detection_of(
    size: str, low: float, high: float, scores: Sequence[CaseScore], bootstrap: Bootstrap
) -> SizeClassDetection:
    lesions, detected, false = np.zeros((3, len(scores)))
    for i, score in enumerate(scores):
        own = [lesion for lesion in score.lesions if low <= lesion.ml < high]
        lesions[i], detected[i] = len(own), sum(lesion.detected for lesion in own)
        false[i] = sum(low <= ml < high for ml in score.false_positives_ml)
    total = int(lesions.sum())
    return SizeClassDetection(
        size=size,
        lesions=total,
        detected=int(detected.sum()),
        sensitivity=(float(detected.sum() / total), *bootstrap.interval(detected, lesions)) if total else None,
        false_positives=int(false.sum()),
        per_case=(float(false.mean()), *bootstrap.interval(false, np.ones(len(scores)))),
    )


def size_text(low: float, high: float) -> str:
    """What a size class of lesions is called."""
    if low == 0:
        return f"< {high:g} mL"
    return f">= {low:g} mL" if high == np.inf else f"{low:g}-{high:g} mL"


def _pooled_iou(scores: Sequence[CaseScore]) -> tuple[list[float], list[float]] | None:
    tables = [np.array(score.points) for score in scores if score.points is not None]
    if len(tables) < len(scores):
        return None
    three = np.sum(tables, axis=0)
    two = np.array([[three[0, 0], three[0, 1:].sum()], [three[1:, 0].sum(), three[1:, 1:].sum()]])
    return point_iou(two), point_iou(three)
