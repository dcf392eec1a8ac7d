"""Scores by growth type, size and contrast of tumours; of extrarenal masses, cysts and slabs; stage 1's reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kidneyseg.evaluation.lesions import DETECTION_SHARE, SIZE_BOUNDS_ML, CystScore, LesionScore
from kidneyseg.evaluation.scores import AS_IS, LESIONS_UNLABELLED, SLABS, CaseScore
from kidneyseg.evaluation.summary import Bootstrap, bootstrap_over_cts, size_text

# Smaller lesions are counted in their size class only.
LEAST_ML = 1.0
# Bounds of the classes of contrast, in HU: a lesion's median less its kidneys'.
CONTRAST_BOUNDS_HU = (-90.0, -50.0, -20.0, 10.0)

# A figure with its 95 % bootstrap interval over CTs: value, low, high.
Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Stratum:
    """The lesions of one class."""

    by: str  #: what the lesions are divided by: "all", "growth type", "size" or "contrast"
    name: str  #: the class
    lesions: int  #: how many
    detected: int  #: how many of them were detected
    sensitivity: Interval  #: detected / lesions
    overlap: Interval  #: mean share of a lesion that was labelled tumour


@dataclass(frozen=True)
class Strata:
    """Scores of CTs with tumours of known growth types, and of CTs with masses that are not of a kidney."""

    strata: tuple[Stratum, ...]  #: without classes that hold no lesion
    tumour_dice: dict[str, Interval]  #: mean by growth type, and of "all"
    reach: Interval | None  #: mean share of the true tumours that stage 2 was shown; None where it is not measured
    reach_least: float | None  #: the smallest share
    masses: int  #: number of inserted masses that are not of a kidney
    masses_called: Interval | None  #: share of those of which at least DETECTION_SHARE was labelled tumour
    masses_kidney_dice: Interval | None  #: mean kidney Dice beside them
    cysts: int  #: number of true cysts of at least LEAST_ML
    cysts_called: Interval | None  #: share of those of which at least DETECTION_SHARE was labelled tumour
    cysts_found: Interval | None  #: share of those of which at least DETECTION_SHARE was labelled cyst
    slabs: int  #: number of slabs of CTs that were also scored whole
    slabs_kidney_dice: Interval | None  #: mean kidney Dice of them, as a share of that of the whole CT
    slabs_kidney_least: float | None  #: the smallest share


def stratify(scores: Sequence[CaseScore]) -> Strata | None:
    """Divide scores; None where no tumour has a growth type, and there are no extrarenal masses, cysts or slabs."""
    typed = [score for score in scores if score.growth]
    beside = [score for score in scores if score.extrarenal is not None]
    with_cysts = [score for score in scores if any(cyst.ml >= LEAST_ML for cyst in score.cysts)]
    whole = {score.case: _kidney_dice(score) for score in scores if score.group in (AS_IS, LESIONS_UNLABELLED)}
    slabs = [score for score in scores if score.group == SLABS and whole.get(score.case, 0.0) > 0.0]
    if not typed and not beside and not with_cysts and not slabs:
        return None
    of_whole = [_kidney_dice(score) / whole[score.case] for score in slabs]
    reached = [score.reach for score in typed if score.reach is not None]
    called = [float(score.extrarenal >= DETECTION_SHARE) for score in beside if score.extrarenal is not None]
    return Strata(
        strata=_strata(typed) if typed else (),
        tumour_dice=_tumour_dice(typed),
        reach=_mean([score for score in typed if score.reach is not None], reached),
        reach_least=min(reached, default=None),
        masses=len(beside),
        masses_called=_mean(beside, called),
        masses_kidney_dice=_mean(beside, [_kidney_dice(score) for score in beside]),
        cysts=sum(cyst.ml >= LEAST_ML for score in with_cysts for cyst in score.cysts),
        cysts_called=_share_of_cysts(with_cysts, lambda cyst: cyst.called_tumour),
        cysts_found=_share_of_cysts(with_cysts, lambda cyst: cyst.found),
        slabs=len(slabs),
        slabs_kidney_dice=_mean(slabs, of_whole),
        slabs_kidney_least=min(of_whole, default=None),
    )


def _kidney_dice(score: CaseScore) -> float:
    return score.dice["kidney_and_masses"] or 0.0


def _mean(scores: Sequence[CaseScore], values: Sequence[float]) -> Interval | None:
    """The mean of a value of each mask; None without masks."""
    if not scores:
        return None
    numbers = np.array(values, dtype=np.float64)
    return (float(numbers.mean()), *bootstrap_over_cts(scores).interval(numbers, np.ones(len(scores))))


def _share_of_cysts(scores: Sequence[CaseScore], wanted: Callable[[CystScore], bool]) -> Interval | None:
    """The share of the cysts of at least LEAST_ML that are `wanted`; None without cysts."""
    if not scores:
        return None
    large = [[cyst for cyst in score.cysts if cyst.ml >= LEAST_ML] for score in scores]
    counts = np.array([len(own) for own in large], np.float64)
    hits = np.array([sum(map(wanted, own)) for own in large], np.float64)
    return (float(hits.sum() / counts.sum()), *bootstrap_over_cts(scores).interval(hits, counts))


def _tumour_dice(typed: Sequence[CaseScore]) -> dict[str, Interval]:
    result = {}
    for growth in ("all", *dict.fromkeys(score.growth for score in typed)):
        own = [score for score in typed if growth in ("all", score.growth) and score.dice["tumour"] is not None]
        if (mean := _mean(own, [score.dice["tumour"] or 0.0 for score in own])) is not None:
            result[growth] = mean
    return result


_Wanted = Callable[[CaseScore, LesionScore], bool]


def _strata(typed: Sequence[CaseScore]) -> tuple[Stratum, ...]:
    bootstrap = bootstrap_over_cts(typed)
    classes: list[tuple[str, str, _Wanted]] = [("all", size_text(LEAST_ML, np.inf), _of_size(LEAST_ML, np.inf))]
    growths = dict.fromkeys(score.growth for score in typed)
    classes += [("growth type", growth, _of_growth(growth)) for growth in growths]
    sizes = pairwise((0.0, *SIZE_BOUNDS_ML, np.inf))
    classes += [("size", size_text(low, high), _of_size(low, high)) for low, high in sizes]
    contrasts = pairwise((-np.inf, *CONTRAST_BOUNDS_HU, np.inf))
    classes += [("contrast", _contrast_text(low, high), _of_contrast(low, high)) for low, high in contrasts]
    found = [_stratum(by, name, typed, bootstrap, wanted) for by, name, wanted in classes]
    return tuple(one for one in found if one is not None)


def _of_growth(growth: str) -> _Wanted:
    return lambda score, lesion: score.growth == growth and lesion.ml >= LEAST_ML


def _of_size(low: float, high: float) -> _Wanted:
    return lambda score, lesion: low <= lesion.ml < high


def _of_contrast(low: float, high: float) -> _Wanted:
    def wanted(score: CaseScore, lesion: LesionScore) -> bool:
        return lesion.ml >= LEAST_ML and lesion.contrast_hu is not None and low <= lesion.contrast_hu < high

    return wanted


def _stratum(
    by: str,
    name: str,
    typed: Sequence[CaseScore],
    bootstrap: Bootstrap,
    wanted: _Wanted,
) -> Stratum | None:
    """The lesions that are `wanted`; None where there are none."""
    lesions, detected, overlap = np.zeros((3, len(typed)))
    for i, score in enumerate(typed):
        own = [lesion for lesion in score.lesions if wanted(score, lesion)]
        lesions[i], detected[i] = len(own), sum(lesion.detected for lesion in own)
        overlap[i] = sum(lesion.overlap for lesion in own)
    total = float(lesions.sum())
    if not total:
        return None
    sensitivity, mean = (
        (float(values.sum() / total), *bootstrap.interval(values, lesions)) for values in (detected, overlap)
    )
    return Stratum(by, name, int(total), int(detected.sum()), sensitivity, mean)


def _contrast_text(low: float, high: float) -> str:
    if low == -np.inf:
        return f"< {high:g} HU"
    return f">= {low:g} HU" if high == np.inf else f"{low:g} to {high:g} HU"
