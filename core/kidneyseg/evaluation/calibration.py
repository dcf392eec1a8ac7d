"""Calibration of the confidence in each predicted tumour: whether it is one, and how well its outline fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from kidneyseg.arrays import Doubles, Mask
from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.evaluation.end_to_end import SegmentationSpec
from kidneyseg.evaluation.scores import AS_IS, UNUSABLE, Failure, failed
from kidneyseg.evaluation.variants import CaseVariant, Variants, case_variants
from kidneyseg.findings import TumourFinding
from kidneyseg.findings.components import label_components
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.segmentation.confidence import MODEL, ConfidenceModel, mean_tumour_probability, tumour_voxels
from kidneyseg.segmentation.pipeline import Pipeline, Result

REAL_DICE = 0.1  # a predicted tumour of at least this Dice is real
BINS = 10  # of the expected calibration error


@dataclass(frozen=True)
class PredictedTumour:
    """A tumour of the findings and what it truly is."""

    ml: float  #: its volume
    mean_probability: float  #: see `mean_tumour_probability`
    dice: float  #: of its voxels and the true tumours that it overlaps; 0 where it overlaps none

    @property
    def real(self) -> bool:
        """Whether it is a tumour."""
        return self.dice >= REAL_DICE


@dataclass(frozen=True)
class CaseConfidence:
    """The predicted tumours of a version of a CT."""

    name: str
    tumours: tuple[PredictedTumour, ...]
    case: str = ""
    group: str = AS_IS


@dataclass(frozen=True)
class Fit:
    """How well a confidence fits the truth; None where there are too few predicted tumours to tell."""

    #: expected calibration error of the probability: the mean over BINS equal bins, weighted by their tumours, of the
    #: difference between the mean probability and the share of real ones (Guo et al., ICML 2017)
    ece: float | None
    brier: float | None  #: mean squared difference of the probability and 0 or 1
    r: float | None  #: Pearson's correlation of the predicted and the true Dice
    dice_error: float | None  #: mean absolute difference of the predicted and the true Dice


@dataclass(frozen=True)
class Calibration:
    """Calibration over all predicted tumours."""

    tumours: int  #: how many were predicted
    real: int  #: how many of them are real
    cases: int  #: how many CTs they are on
    program: Fit  #: fit of the program's own model
    share: Fit  #: fit of a constant probability and Dice, those of the other CTs: what a useful model must beat
    anew: Fit  #: fit of a model that is fitted to the other CTs
    model: ConfidenceModel | None  #: fitted to all of them; None where there are too few


def measure_confidence(
    cases: Sequence[CaseFiles], spec: SegmentationSpec, variants: Variants | None = None
) -> Iterator[CaseConfidence | Failure]:
    """Segment every version of every CT in this process and compare its predicted tumours with the true ones.

    Args:
        cases: labelled CTs.
        spec: settings, networks and device.
        variants: the versions of the CTs; None takes the originals.
    """
    for case in cases:
        try:
            for variant in case_variants(case, variants or Variants()):
                result = Pipeline(variant.volume, device=spec.device, models_dir=spec.models).run(spec.settings)
                yield CaseConfidence(variant.name, predicted_tumours(result, variant), case.name, variant.group)
        except UNUSABLE as error:
            yield failed(error, case.name, case.name)


def predicted_tumours(result: Result, variant: CaseVariant) -> tuple[PredictedTumour, ...]:
    """The tumours of the findings of a segmentation of `variant.volume`, each with its true Dice."""
    number, count = label_components(variant.truth == TUMOUR)
    sizes = np.bincount(number.ravel(order="K"), minlength=count + 1)
    found = []
    for tumour in result.findings.tumours:
        mean = mean_tumour_probability(tumour, result.mask, result.stage2, variant.volume)
        if mean is not None:
            found.append(PredictedTumour(tumour.ml, mean, _true_dice(tumour, result, variant, number, sizes)))
    return tuple(found)


def _true_dice(
    tumour: TumourFinding, result: Result, variant: CaseVariant, number: NDArray[np.int32], sizes: NDArray[np.int64]
) -> float:
    """Dice of a predicted tumour and the true ones that it overlaps; `number` and `sizes` are those of the true."""
    box, own = tumour_voxels(tumour, result.mask, variant.volume)
    true = number[box][own]
    overlapped = np.unique(true[true > 0])
    return float(2 * np.count_nonzero(true) / (np.count_nonzero(own) + sizes[overlapped].sum()))


def calibration(outcomes: Sequence[CaseConfidence | Failure]) -> Calibration:
    """Calibration over the predicted tumours of all cases."""
    done = [one for one in outcomes if isinstance(one, CaseConfidence)]
    tumours = [tumour for one in done for tumour in one.tumours]
    of_case = np.array([one.case or one.name for one in done for _ in one.tumours])
    mean, dice = (np.array([getattr(one, key) for one in tumours], float) for key in ("mean_probability", "dice"))
    real = np.array([one.real for one in tumours], bool)
    anew, share = np.zeros((2, len(tumours))), np.zeros((2, len(tumours)))
    names = np.unique(of_case)
    if len(names) > 1:
        for name in names:
            rest, left_out = of_case != name, of_case == name
            anew[:, left_out] = _confidences(fit_model(mean[rest], real[rest], dice[rest]), mean[left_out])
            share[:, left_out] = [[real[rest].mean()], [dice[rest].mean()]]
    unknown = Fit(None, None, None, None)
    return Calibration(
        len(tumours),
        int(real.sum()),
        len(names),
        _fit(_confidences(MODEL, mean), real, dice),
        _fit(share, real, dice) if len(names) > 1 else unknown,
        _fit(anew, real, dice) if len(names) > 1 else unknown,
        fit_model(mean, real, dice) if len(tumours) > 1 else None,
    )


def fit_model(mean_probability: Doubles, real: Mask, dice: Doubles) -> ConfidenceModel:
    """Fit a model to predicted tumours (N,), N >= 1.

    The log odds are fitted as in Platt scaling (Platt 1999): its targets keep the factor finite where all tumours are
    real, or where one value of the probability divides the real ones from the others. The Dice is fitted by least
    squares.
    """
    x = mean_probability - mean_probability.mean()
    count = int(real.sum())
    target = np.where(real, (count + 1) / (count + 2), 1 / (len(real) - count + 2))

    found = _logistic_fit(np.stack([np.ones_like(x), x]), target)
    slope = float(x @ (dice - dice.mean()) / spread) if (spread := x @ x) > 0 else 0.0
    middle = mean_probability.mean()
    return ConfidenceModel(
        real=(float(found[0] - found[1] * middle), float(found[1])),
        dice=(float(dice.mean() - slope * middle), slope),
    )


def _logistic_fit(rows: Doubles, target: Doubles) -> Doubles:
    """The factors (K,) of the rows (K, N) in the log odds that fit target probabilities (N,), by Newton's method."""

    def loss(factors: Doubles) -> float:
        odds = factors @ rows
        return float((np.logaddexp(0, odds) - target * odds).sum())

    factors = np.zeros(len(rows))
    for _ in range(50):
        share = special.expit(factors @ rows)
        # The pseudo-inverse: a row that does not vary gets no factor of its own.
        step = np.linalg.pinv((rows * share * (1 - share)) @ rows.T) @ (rows @ (target - share))
        while loss(factors + step) > loss(factors) and np.abs(step).max() > 1e-9:
            step /= 2
        factors += step
        if np.abs(step).max() < 1e-9:
            break
    return factors


def _confidences(model: ConfidenceModel, mean_probability: Doubles) -> Doubles:
    """Probability and predicted Dice of each tumour: (2, N)."""
    found = [model(float(value)) for value in mean_probability]
    return np.array([[one.probability for one in found], [one.dice for one in found]])


def _fit(predicted: Doubles, real: Mask, dice: Doubles) -> Fit:
    """How probability and Dice (2, N) fit the truth."""
    if not len(real):
        return Fit(None, None, None, None)
    probability, predicted_dice = predicted
    numbers = np.minimum((probability * BINS).astype(int), BINS - 1)
    ece = sum(abs((probability - real)[numbers == n].sum()) for n in range(BINS)) / len(real)
    varied = min(np.ptp(predicted_dice), np.ptp(dice)) > 0
    return Fit(
        float(ece),
        float(((probability - real) ** 2).mean()),
        float(np.corrcoef(predicted_dice, dice)[0, 1]) if varied else None,
        float(np.abs(predicted_dice - dice).mean()),
    )
