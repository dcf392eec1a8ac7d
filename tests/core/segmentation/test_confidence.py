"""The confidence in each tumour of the findings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.findings import Confidence, TumourFinding, measure
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.imaging.volume import Volume
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.segmentation.confidence import (
    MODEL,
    ConfidenceModel,
    mean_tumour_probability,
    tumour_confidence,
    with_confidence,
)

SPACING = (2.0, 2.0, 4.0)
SHAPE = (40, 24, 16)
BOXES = ((slice(4, 8), slice(4, 8), slice(2, 5)), (slice(25, 33), slice(6, 14), slice(4, 10)))  # small, large
LATTICE = Lattice((4.0, 4.0, 4.0), (20, 12, 16))
SURE, UNSURE = 0.875, 0.25  # exact in float16


def volume() -> Volume:
    return Volume(np.zeros(SHAPE, np.int16, order="F"), SPACING, np.diag([*SPACING, 1.0]))


def mask() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8, order="F")
    labels[2:36, 2:18, 1:12] = KIDNEY
    for box in BOXES:
        labels[box] = TUMOUR
    return labels


def cloud(lattice: Lattice = LATTICE) -> PointCloud:
    """Sure of the large tumour, unsure of the small one; cells are two voxels wide."""
    tumour = np.full(LATTICE.shape, 0.05, np.float16)
    tumour[:10], tumour[12:] = UNSURE, SURE
    index = np.indices(LATTICE.shape, np.int32).reshape(3, -1).T
    probability = np.stack([1 - tumour.ravel(), np.zeros(tumour.size), tumour.ravel()], axis=1).astype(np.float16)
    return PointCloud(
        lattice, index, np.zeros(len(index), np.int16), probability.argmax(1).astype(np.uint8), probability
    )


def test_each_tumour_has_the_confidence_of_its_own_voxels_in_the_order_of_the_findings() -> None:
    findings = measure(mask(), volume())
    assert [tumour.ml for tumour in findings.tumours] == pytest.approx([6.144, 0.768])
    large, small = tumour_confidence(findings.tumours, mask(), cloud(), volume())
    assert large == MODEL(SURE)
    assert small == MODEL(UNSURE)
    assert with_confidence(findings, mask(), cloud(), volume(), "default").tumours == (
        replace(findings.tumours[0], confidence=large),
        replace(findings.tumours[1], confidence=small),
    )


def test_cells_without_a_point_count_as_0_and_each_voxel_as_much() -> None:
    """Half of the large tumour's cells along y are missing, and the first column of x lies in a cell of its own."""
    tumour = measure(mask(), volume()).tumours[0]
    some = cloud().select(cloud().index[:, 1] < 5)
    assert mean_tumour_probability(tumour, mask(), some, volume()) == pytest.approx(SURE / 2, abs=1e-3)
    dark = replace(some, probability=np.where(some.index[:, :1] == 12, 0, some.probability).astype(np.float16))
    assert mean_tumour_probability(tumour, mask(), dark, volume()) == pytest.approx(SURE / 2 * 7 / 8, abs=1e-3)


def test_a_cloud_on_a_part_of_the_lattice() -> None:
    tumours = measure(mask(), volume()).tumours
    whole = cloud()
    rows = (whole.index >= (10, 2, 3)).all(axis=1)
    part = replace(whole, lattice=LATTICE.crop((10, 2, 3), LATTICE.shape)).select(rows)
    assert mean_tumour_probability(tumours[0], mask(), part, volume()) == pytest.approx(SURE, abs=1e-3)
    assert mean_tumour_probability(tumours[1], mask(), part, volume()) == 0.0


@pytest.mark.parametrize(("planes", "known"), [(4, True), (5, False)])
def test_a_tumour_mostly_made_by_hand_has_none(planes: int, known: bool) -> None:
    marks = np.zeros(SHAPE, np.uint8, order="F")
    marks[25 : 25 + planes, :, :] = 1  # of the 8 planes of the large tumour
    large, small = tumour_confidence(measure(mask(), volume()).tumours, mask(), cloud(), volume(), marks)
    assert (large is not None) == known
    assert small is not None


def test_nothing_is_known_without_probabilities_or_once_the_tumour_is_gone() -> None:
    tumours = measure(mask(), volume()).tumours
    assert tumour_confidence(tumours, mask(), replace(cloud(), probability=None), volume()) == (None, None)
    edited = mask()
    edited[tumours[0].centre] = KIDNEY
    assert tumour_confidence(tumours, edited, cloud(), volume())[0] is None
    assert tumour_confidence(tumours, np.zeros(SHAPE, np.uint8), cloud(), volume()) == (None, None)


def test_another_tumour_in_reach_does_not_count() -> None:
    labels = mask()
    labels[8:25, 10, 6] = KIDNEY
    labels[20:24, 6:14, 4:10] = TUMOUR  # unsure; a plane apart from the large one
    tumour = TumourFinding("right", 6.1, 60.0, (29, 10, 7))
    assert mean_tumour_probability(tumour, labels, cloud(), volume()) == pytest.approx(SURE, abs=1e-3)


def test_the_model() -> None:
    model = ConfidenceModel(real=(-2.0, 4.0), dice=(-0.5, 2.0))
    assert model(0.5) == Confidence(0.5, 0.5)
    assert model(1.0).probability == pytest.approx(1 / (1 + np.exp(-2)))
    assert model(1.0).dice == 1.0
    assert model(0.0).dice == 0.0
    assert ConfidenceModel((-900.0, 0.0), (0.0, 0.0))(0.5).probability == pytest.approx(0.0, abs=1e-9)
    assert MODEL(0.95).probability > 0.8
    assert MODEL(0.05).probability < 0.5


def test_the_findings_of_another_method_than_the_fitted_one_stay_without() -> None:
    findings = measure(mask(), volume())
    assert with_confidence(findings, mask(), cloud(), volume(), "paper") is findings
