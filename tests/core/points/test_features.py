"""The networks' input features."""

from __future__ import annotations

import numpy as np

from kidneyseg.points.features import hu_features, kidney_level, stage2_features


def test_hu_are_clipped_and_scaled_to_one() -> None:
    assert hu_features(np.array([-1000, -125, 75, 275, 3000]), 3).tolist() == [[v] * 3 for v in (-1, -1, 0, 1, 1)]


def test_the_level_is_that_of_the_detections_not_of_what_lies_around() -> None:
    hu = np.array([50] * 60 + [150] * 40)
    assert kidney_level(hu, hu == 150) == 150
    assert kidney_level(hu, np.zeros(100, bool)) == 150, "without detections, all points count"


def test_a_tumour_of_half_the_detections_does_not_set_the_level() -> None:
    hu = np.array([70] * 55 + [180] * 45)
    assert kidney_level(hu, np.ones(100, bool)) == 180


def test_stage2_features_hold_the_offset_from_the_level_in_any_phase() -> None:
    early, late = stage2_features(np.array([180, 100]), 180.0, 2), stage2_features(np.array([120, 40]), 120.0, 2)
    assert early[:, 1].tolist() == late[:, 1].tolist() == [0.0, -1.0]
    assert early[:, 0].tolist() != late[:, 0].tolist()
    assert stage2_features(np.array([-125, 275]), 75.0, 2)[:, 1].tolist() == [-2.0, 2.0], "bounded"


def test_a_network_of_one_or_three_channels_sees_hu_alone() -> None:
    hu = np.array([0, 100])
    assert (stage2_features(hu, 100.0, 3) == hu_features(hu, 3)).all()
