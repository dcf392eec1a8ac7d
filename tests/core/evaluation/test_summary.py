import numpy as np
import pytest

from case_scores import score
from kidneyseg.evaluation.lesions import LesionScore
from kidneyseg.evaluation.summary import summarise


def test_a_score_is_summarised_over_the_masks_that_have_it():
    scores = [score(str(i), value) for i, value in enumerate((0.5, 0.7, 0.9, 0.96, 0.94))]
    scores[0] = score("0", 0.5, tumour=0.25, lesions=[LesionScore(1, 0)])
    summary = summarise(scores)
    kidney, tumour = (summary.figures[f"{name} Dice"] for name in ("kidney", "tumour"))
    assert (summary.masks, summary.cases, kidney.count, tumour.count) == (5, 5, 5, 1)
    assert kidney.mean == pytest.approx(0.8)
    assert kidney.median == pytest.approx(0.9)
    assert kidney.percentile_5 == pytest.approx(0.5 + 0.2 * 0.2)  # a fifth of the way from the lowest to the next
    assert (tumour.mean, tumour.low, tumour.high) == (0.25, 0.25, 0.25)
    assert "seconds" not in summary.figures


def test_the_interval_is_that_of_the_mean_and_the_same_every_time():
    values = np.random.default_rng(3).normal(0.8, 0.05, 200)
    scores = [score(str(i), float(value)) for i, value in enumerate(values)]
    one = summarise(scores).figures["kidney Dice"]
    assert one == summarise(scores).figures["kidney Dice"]
    half = 1.96 * values.std() / np.sqrt(200)
    assert one.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert one.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_masks_of_one_ct_are_drawn_together():
    values = np.random.default_rng(3).normal(0.8, 0.05, 20)
    apart = summarise([score(str(i), v) for i, v in enumerate(values)]).figures["kidney Dice"]
    # The same scores five times over are no more evidence.
    many = [score(f"{i}-{j}", v, case=str(i)) for i, v in enumerate(values) for j in range(5)]
    together = summarise(many)
    assert (together.masks, together.cases) == (100, 20)
    assert together.figures["kidney Dice"].low == pytest.approx(apart.low)
    assert together.figures["kidney Dice"].high == pytest.approx(apart.high)


def test_detection_by_size():
    scores = [
        score("a", lesions=[LesionScore(0.5, 0.0), LesionScore(1.0, 0.3), LesionScore(50.0, 0.09)], false=[0.2, 3.0]),
        score("b", lesions=[LesionScore(2.0, 0.1)]),
        score("c"),
        score("d", false=[40.0]),
    ]
    found = {one.size: one for one in summarise(scores).detection}
    assert list(found) == ["< 1 mL", "1-4 mL", "4-33.5 mL", ">= 33.5 mL", ">= 1 mL", "all"]
    assert [(one.lesions, one.detected) for one in found.values()] == [(1, 0), (2, 2), (0, 0), (1, 0), (3, 2), (4, 2)]
    assert [one.false_positives for one in found.values()] == [1, 1, 0, 1, 2, 3]
    assert found["4-33.5 mL"].sensitivity is None
    assert found[">= 1 mL"].sensitivity[0] == pytest.approx(2 / 3)
    assert found[">= 1 mL"].sensitivity[1:] == (0.5, 1.0)  # of the two CTs with lesions either alone, or both
    assert found[">= 1 mL"].per_case[0] == 0.5
    assert found["all"].per_case[0] == 0.75


def test_without_lesions_there_is_no_detection():
    assert summarise([score("a")]).detection == ()


def test_point_iou_is_pooled():
    one = score("a", points=((8, 1, 1), (0, 5, 0), (0, 2, 3)))
    two = score("b", points=((10, 0, 0), (5, 0, 0), (0, 0, 0)))
    pair, triple = summarise([one, two]).point_iou
    assert pair == [pytest.approx(18 / 25), pytest.approx(10 / 17)]
    assert triple == [pytest.approx(18 / 25), pytest.approx(5 / 13), pytest.approx(3 / 6)]
    assert summarise([one, score("c")]).point_iou is None


def test_no_scores_cannot_be_summarised():
    with pytest.raises(ValueError, match="no scores"):
        summarise([])
