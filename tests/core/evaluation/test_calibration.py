"""The calibration of the confidence in each predicted tumour."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.evaluation.calibration import (
    CaseConfidence,
    Fit,
    PredictedTumour,
    calibration,
    fit_model,
    measure_confidence,
    predicted_tumours,
)
from kidneyseg.evaluation.end_to_end import SegmentationSpec
from kidneyseg.evaluation.scores import Failure
from kidneyseg.evaluation.variants import CaseVariant
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.confidence import MODEL
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import preset
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks that label by HU; the tumour gets 0.875."""

    def predict(model: Any, cells: Any, features: Any, device: Any, progress: Any, note: Any = None) -> Any:
        classes = model.network.config["classes"]
        hu = 75 + 200 * features[:, 0]  # as `hu_features` scales them
        sure = np.array([[1, 0, 0], [0, 1, 0], [0, 0.125, 0.875]], np.float16)
        label = (hu > 100).astype(int) + (hu > 200)
        return sure[label] if classes == 3 else np.eye(2, dtype=np.float16)[label.clip(max=1)]

    for name in ("predict", "predict_mirrored"):
        monkeypatch.setattr(networks, name, predict)
    return tiny_models(tmp_path)


def case_of(name: str, *tumours: tuple[float, float]) -> CaseConfidence:
    """A case with tumours of these mean probabilities and Dice."""
    return CaseConfidence(name, tuple(PredictedTumour(1.0, mean, dice) for mean, dice in tumours), name)


def test_each_predicted_tumour_has_its_true_dice(models: Path) -> None:
    volume, truth = abdomen()
    result = Pipeline(volume, models_dir=models).run(preset("default"))
    (exact,) = predicted_tumours(result, CaseVariant("box", "g", volume, result.mask))
    assert exact.dice == 1.0
    assert exact.real
    assert 0.6 < exact.mean_probability <= 0.875
    assert exact.ml == result.findings.tumours[0].ml
    half = result.mask.copy(order="K")
    half[np.nonzero(half == TUMOUR)[0].min() :, :, : int(np.median(np.nonzero(half == TUMOUR)[2]))] = 0
    inter = np.count_nonzero(half == TUMOUR)
    half[:4, :4, :4] = TUMOUR  # another true tumour, which the predicted one does not overlap
    (part,) = predicted_tumours(result, CaseVariant("box", "g", volume, half))
    assert part.dice == pytest.approx(2 * inter / (inter + np.count_nonzero(result.mask == TUMOUR)))
    (none,) = predicted_tumours(result, CaseVariant("box", "g", volume, np.minimum(truth, 1)))
    assert (none.dice, none.real) == (0.0, False)


def test_cases_are_read_from_disk_and_failures_are_named(models: Path, tmp_path: Path) -> None:
    volume, truth = abdomen()
    case = CaseFiles("a", tmp_path / "a_ct.nii.gz", tmp_path / "a_kidney.nii.gz")
    save_volume(volume, case.image)
    save_mask(truth, volume, case.labels)
    torn = replace(case, name="b", labels=tmp_path / "b_kidney.nii.gz")
    torn.labels.write_bytes(b"torn")
    one, two = measure_confidence([case, torn], SegmentationSpec(preset("default"), models))
    assert isinstance(one, CaseConfidence)
    assert (one.case, len(one.tumours)) == ("a", 1)
    assert one.tumours[0].dice > 0.85
    assert isinstance(two, Failure)


def test_the_model_finds_the_probabilities_that_the_tumours_were_drawn_with() -> None:
    rng = np.random.default_rng(0)
    mean = rng.uniform(0.2, 1.0, 4000)
    real = rng.random(4000) < 1 / (1 + np.exp(4 - 8 * mean))
    model = fit_model(mean, real, 0.1 + 0.8 * mean)
    assert model.real == pytest.approx((-4.0, 8.0), abs=0.6)
    assert model.dice == pytest.approx((0.1, 0.8))


def test_a_model_of_tumours_that_are_all_real_stays_finite() -> None:
    model = fit_model(np.array([0.7, 0.8, 0.9]), np.ones(3, np.bool_), np.array([0.7, 0.8, 0.9]))
    assert model(0.8).probability == pytest.approx(4 / 5, abs=1e-3)  # as Platt's target for 3 of 3
    same = fit_model(np.full(3, 0.8), np.array([True, True, False]), np.array([0.7, 0.8, 0.0]))
    assert same(0.8).dice == pytest.approx(0.5)


def test_the_figures_by_hand() -> None:
    """Two tumours in one bin, one of them real, and one real in another."""
    cases = [case_of("a", (0.9, 0.8), (0.9, 0.0)), case_of("b", (0.6, 0.5))]
    found = calibration(cases)
    assert (found.tumours, found.real, found.cases) == (3, 2, 2)
    high, low = MODEL(0.9), MODEL(0.6)
    assert found.program.ece == pytest.approx(abs(2 * high.probability - 1) / 3 + abs(1 - low.probability) / 3)
    errors = [high.dice - 0.8, high.dice, low.dice - 0.5]
    assert found.program.dice_error == pytest.approx(np.abs(errors).mean())
    assert found.program.brier == pytest.approx(
        ((1 - high.probability) ** 2 + high.probability**2 + (1 - low.probability) ** 2) / 3
    )
    assert found.share.dice_error == pytest.approx((0.3 + 0.5 + 0.1) / 3)  # 0.5 for a, 0.4 for b


def test_a_ct_is_never_in_the_fit_of_its_own_confidence() -> None:
    """In all CTs but one, the higher probability has the higher Dice; in that one it is the other way round."""
    rows = ((0.5, 0.4), (0.7, 0.6), (0.9, 0.8))
    cases = [case_of("a", *rows), case_of("b", *rows), case_of("c", *rows)]
    assert calibration(cases).anew.r == pytest.approx(1.0)
    alone = [case_of("a", *rows), case_of("b", (0.5, 0.8), (0.7, 0.6), (0.9, 0.4))]
    assert calibration(alone).anew.r == pytest.approx(-1.0)


def test_too_few_tumours_give_no_figure() -> None:
    nothing = calibration([case_of("a")])
    assert (nothing.tumours, nothing.model) == (0, None)
    assert nothing.program == nothing.anew == Fit(None, None, None, None)
    one = calibration([case_of("a", (0.9, 0.8))])
    assert one.program.r is None
    assert one.anew == Fit(None, None, None, None)
