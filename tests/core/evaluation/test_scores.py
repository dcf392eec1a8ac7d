import json

import numpy as np
import pytest

from kidneyseg.evaluation.scores import CaseScore, score_case

SPACING = (1.0, 1.0, 5.0)


def kidney_with_tumour():
    """A kidney of 2 mL (400 voxels of 5 mm3), of which .5 mL tumour, with a cyst of .25 mL."""
    truth = np.zeros((30, 30, 10), np.uint8)
    truth[5:15, 5:15, 2:6] = 1
    truth[5:15, 5:15, 2] = 2
    truth[5:15, 5:10, 5] = 3
    return truth


def test_a_perfect_mask():
    truth = kidney_with_tumour()
    score = score_case(truth, truth, SPACING, name="a")
    assert set(score.dice.values()) == set(score.surface_dice.values()) == {1.0}
    assert score.kidney_ml == (2.0, 2.0)
    assert score.tumour_ml == (0.5, 0.5)
    figures = score.figures()
    assert [figures[name] for name in ("kidney error mL", "tumour error %", "false tumour mL")] == [0, 0, 0]
    assert [lesion.detected for lesion in score.lesions] == [True]


def test_scores_by_hand():
    truth = kidney_with_tumour()
    pred = np.where(truth == 3, 1, truth).astype(np.uint8)
    pred[5:15, 5:15, 3] = 2  # tumour twice as thick
    pred[5:15, 5:15, 5] = 0  # and a layer short
    score = score_case(pred, truth, SPACING, name="a")
    figures = score.figures()
    assert figures["kidney Dice"] == pytest.approx(2 * 300 / 700)
    assert figures["tumour Dice"] == pytest.approx(2 * 100 / 300)
    assert figures["masses Dice"] == pytest.approx(2 * 100 / 350)  # the cyst is one of the masses
    assert figures["kidney error mL"] == pytest.approx(-0.5)
    assert figures["kidney error %"] == pytest.approx(-25)
    assert figures["kidney absolute error %"] == pytest.approx(25)
    assert figures["tumour error mL"] == pytest.approx(0.5)
    assert figures["tumour absolute error %"] == pytest.approx(100)
    assert figures["false tumour mL"] == pytest.approx(0.5)
    assert score.false_positives_ml == ()


def test_where_there_is_no_tumour_only_false_ones_count():
    truth = np.minimum(kidney_with_tumour(), 1)
    pred = truth.copy()
    pred[5:15, 5:15, 2] = 2
    figures = score_case(pred, truth, SPACING, name="a").figures()
    assert figures["kidney Dice"] == 1.0
    assert figures["tumour Dice"] is figures["masses surface Dice"] is figures["tumour error mL"] is None
    assert figures["false tumour mL"] == 0.5


@pytest.mark.parametrize(("pred_value", "dice"), [(0, 1.0), (1, 0.0)])
def test_empty_masks_and_labels(pred_value, dice):
    truth = np.zeros((10, 10, 10), np.uint8)
    score = score_case(np.full_like(truth, pred_value), truth, SPACING, name="a")
    assert score.dice["kidney_and_masses"] == dice
    assert score.figures()["kidney error %"] is None
    assert score.lesions == ()


def test_a_missed_kidney_scores_nothing():
    truth = kidney_with_tumour()
    score = score_case(np.zeros_like(truth), truth, SPACING, name="a")
    assert set(score.dice.values()) == set(score.surface_dice.values()) == {0.0}
    assert [lesion.overlap for lesion in score.lesions] == [0.0]


def test_points_are_the_brightest_tenth_of_the_box():
    truth = np.zeros((10, 10, 10), np.uint8)
    truth[0] = 1
    truth[0, 0] = 2
    truth[0, 1] = 3
    pred = np.zeros_like(truth)
    pred[0, :, :5] = 1
    hu = np.full(truth.shape, -1000, np.int16)
    hu[0] = np.where(truth[0] == 1, 150, 600)
    hu[9] = 149
    score = score_case(pred, truth, SPACING, name="a", hu=hu)
    assert score.points == ((0, 0, 0), (45, 45, 0), (5, 5, 0))
    hu[0, 5:] = -50  # now half of the other face is among the brightest tenth, and that half of the kidney is not
    score = score_case(pred, truth, SPACING, name="a", hu=hu)
    assert np.sum(score.points, axis=1).tolist() == [100, 40, 10]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2, 1\).*\(2, 2, 2\)"):
        score_case(np.zeros((2, 2, 1), np.uint8), np.zeros((2, 2, 2), np.uint8), SPACING, name="a")


def test_a_score_survives_json():
    truth = kidney_with_tumour()
    hu = np.zeros(truth.shape, np.int16)
    score = score_case(np.roll(truth, 12, axis=0), truth, SPACING, name="a_1", hu=hu, case="a", group="g")
    again = CaseScore.from_dict(json.loads(json.dumps(score.to_dict())))
    assert again == score
    assert again.lesions
    assert again.false_positives_ml


def test_how_much_of_a_mass_beside_the_kidney_was_called_tumour():
    truth, pred = (np.zeros((12, 12, 12), np.uint8) for _ in range(2))
    truth[:4] = pred[:4] = 1
    mass = np.zeros(truth.shape, bool)
    mass[8:] = True
    pred[8] = 2
    pred[9] = 1
    score = score_case(pred, truth, (1, 1, 1), name="a", extrarenal=mass, growth="")
    assert score.extrarenal == pytest.approx(0.25)
    assert score_case(pred, truth, (1, 1, 1), name="a").extrarenal is None


def test_scores_kept_before_there_were_growth_types_are_still_read():
    truth = np.zeros((12, 12, 12), np.uint8)
    truth[:4], truth[4] = 1, 2
    kept = json.loads(json.dumps(score_case(truth, truth, (1, 1, 1), name="a").to_dict()))
    for key in ("growth", "extrarenal", "reach"):
        del kept[key]
    for lesion in kept["lesions"]:
        del lesion["contrast_hu"]
    again = CaseScore.from_dict(kept)
    assert (again.growth, again.reach, again.lesions[0].contrast_hu) == ("", None, None)
