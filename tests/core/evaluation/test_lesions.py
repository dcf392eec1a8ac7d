import numpy as np
import pytest

from kidneyseg.evaluation.lesions import score_cysts, score_lesions


def empty():
    return np.zeros((20, 20, 20), np.uint8)


def test_a_tenth_of_the_voxels_detects_a_lesion():
    truth, pred = empty(), empty()
    truth[0, 0, :10] = 2
    truth[10, 0, :11] = 2
    pred[0, 0, 0] = pred[10, 0, 0] = 2
    lesions, false_positives = score_lesions(pred, truth, 0.1)
    assert [(lesion.ml, lesion.detected) for lesion in lesions] == [
        (pytest.approx(1.1), False),
        (pytest.approx(1.0), True),
    ]
    assert lesions[1].overlap == 0.1
    assert false_positives == ()


def test_only_a_component_that_overlaps_no_tumour_is_a_false_positive():
    truth, pred = empty(), empty()
    truth[0:4, 0, 0] = 2
    truth[10, 10, 10] = 3  # a cyst is no tumour
    pred[3:9, 0, 0] = 2
    pred[10, 10, 10] = 2
    pred[15:18, 15, 15] = 2
    pred[19, 19, 19] = 1
    assert score_lesions(pred, truth, 0.1)[1] == (pytest.approx(0.3), pytest.approx(0.1))


def test_one_component_may_detect_two_lesions():
    truth, pred = empty(), empty()
    truth[0:2, 0, 0] = truth[4:6, 0, 0] = 2
    pred[0:6, 0, 0] = 2
    lesions, false_positives = score_lesions(pred, truth, 0.1)
    assert [lesion.detected for lesion in lesions] == [True, True]
    assert false_positives == ()


def test_a_shared_corner_connects():
    truth = empty()
    truth[0, 0, 0] = truth[1, 1, 1] = 2
    truth[5, 5, 5] = 2
    assert [lesion.ml for lesion in score_lesions(empty(), truth, 1.0)[0]] == [2.0, 1.0]


def test_small_components_count_neither_way_but_are_true_tumour():
    truth, pred = empty(), empty()
    truth[0, 0, 0] = 2
    pred[0:4, 0, 0] = 2  # touches it
    pred[10, 10, 10] = 2
    assert score_lesions(pred, truth, 0.02) == ((), ())
    assert score_lesions(pred, truth, 0.03)[1] == (0.03,)


def test_contrast_is_the_lesions_median_less_the_kidneys():
    truth, hu = empty(), np.zeros((20, 20, 20), np.int16)
    truth[0:10] = 1
    hu[0:10] = 120
    truth[2:4, 2:4, 2:4] = truth[7:9, 7:9, 7] = 2
    hu[2:4, 2:4, 2:4], hu[7:9, 7:9, 7] = 70, 160
    lesions, _ = score_lesions(empty(), truth, 1.0, hu)
    assert [lesion.contrast_hu for lesion in lesions] == [-50.0, 40.0]
    assert score_lesions(empty(), truth, 1.0)[0][0].contrast_hu is None


def test_a_cyst_is_scored_by_what_it_was_called():
    truth, pred = np.zeros((2, 30, 10, 10), np.uint8)
    truth[:10, 0, :5], truth[20:, 0, 0] = 3, 3  # 50 and 10 voxels of 1 mL
    pred[:2, 0, :5], pred[2:8, 0, :5], pred[20:21, 0, 0] = 2, 3, 2
    large, small = score_cysts(pred, truth, 1.0)
    assert (large.ml, large.tumour_share, large.cyst_share) == (50.0, 0.2, 0.6)
    assert (small.ml, small.tumour_share, small.cyst_share) == (10.0, 0.1, 0.0)
    assert (large.called_tumour, large.found, small.called_tumour, small.found) == (True, True, True, False)
    assert score_cysts(pred, np.where(truth == 3, 2, truth), 1.0) == ()
