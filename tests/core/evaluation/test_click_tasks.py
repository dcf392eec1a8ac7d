"""What simulated clicks have to mend."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.evaluation.click_tasks import (
    FALSE_TUMOUR,
    KIDNEY_POLE,
    MISSED,
    WITHHELD,
    ClickTask,
    click_tasks,
)
from kidneyseg.evaluation.variants import CaseVariant
from kidneyseg.imaging.labels import KIDNEY, TISSUE, TUMOUR
from kidneyseg.metrics import dice
from lesion_phantom import lesion_evidence, lesion_phantom

VOLUME, TRUTH = lesion_phantom()
VARIANT = CaseVariant("box", "g", VOLUME, TRUTH)
EVIDENCE = lesion_evidence(VOLUME, TRUTH)


def tasks(mask: np.ndarray) -> dict[str, ClickTask]:
    return {task.kind: task for task in click_tasks(VARIANT, mask, EVIDENCE)}


@pytest.fixture(scope="module")
def of_truth() -> dict[str, ClickTask]:
    return tasks(TRUTH)


def test_only_a_tumour_that_the_mask_lacks_is_missed(of_truth) -> None:
    assert list(of_truth) == [WITHHELD, FALSE_TUMOUR, KIDNEY_POLE]
    missed = tasks(np.minimum(TRUTH, KIDNEY))
    assert list(missed) == [MISSED, WITHHELD, FALSE_TUMOUR, KIDNEY_POLE]
    assert missed[MISSED].ml == pytest.approx(4.2, rel=0.05)
    assert missed[MISSED].evidence is EVIDENCE


def test_a_withheld_tumour_has_left_no_trace(of_truth) -> None:
    task = of_truth[WITHHELD]
    assert not (task.labels == TUMOUR).any()
    assert (task.labels[TRUTH != TUMOUR] == TRUTH[TRUTH != TUMOUR]).all()
    # The networks hold kidney for the next likely, but for cells at the border of which tissue fills most.
    assert (task.labels[TRUTH == TUMOUR] == KIDNEY).mean() > 0.8
    assert task.evidence.probability[:, TUMOUR].max() < 0.02
    assert task.evidence.probability.sum(axis=1) == pytest.approx(1, abs=0.01)
    assert dice(task.chosen(TRUTH), task.chosen(task.labels)) == 0


def test_a_false_tumour_is_a_ball_clear_of_the_true_one(of_truth) -> None:
    task = of_truth[FALSE_TUMOUR]
    false = (task.labels == TUMOUR) & (TRUTH != TUMOUR)
    assert np.count_nonzero(false) * VOLUME.voxel_ml == pytest.approx(task.ml)
    assert 0.7 < task.ml < 7.5
    assert np.array_equal(task.labels[~false], TRUTH[~false])
    assert not (task.chosen(TRUTH)).any()


def test_a_missing_pole_is_tissue_in_mask_and_evidence() -> None:
    truth = np.minimum(TRUTH, KIDNEY)
    found = {}
    for name in "abcdef":  # the end is drawn from the name
        (task,) = [
            one
            for one in click_tasks(CaseVariant(name, "g", VOLUME, truth), truth, EVIDENCE)
            if one.kind == KIDNEY_POLE
        ]
        lost = (truth == KIDNEY) & (task.labels == TISSUE)
        layers = np.flatnonzero(lost.any(axis=(0, 1)))
        kidney = np.flatnonzero(truth.any(axis=(0, 1)))
        assert (layers[0] == kidney[0]) != (layers[-1] == kidney[-1])
        assert 18 <= len(layers) * 3 <= 42
        assert np.array_equal(lost[task.region.box], task.chosen(truth))
        assert not task.chosen(task.labels).any()
        gone = EVIDENCE.probability[:, TISSUE] != task.evidence.probability[:, TISSUE]
        assert (task.evidence.labels[gone] == TISSUE).all()
        assert gone.sum() * 0.008 > task.ml
        found[layers[0] == kidney[0]] = True
    assert len(found) == 2


def test_a_ct_without_kidneys_has_no_task() -> None:
    empty = np.zeros_like(TRUTH)
    assert not list(click_tasks(CaseVariant("empty", "g", VOLUME, empty), empty, EVIDENCE))


def test_evidence_without_probabilities_is_refused() -> None:
    bare = EVIDENCE.of_cells(EVIDENCE.lattice)
    with pytest.raises(ValueError, match="probabilities"):
        list(click_tasks(VARIANT, TRUTH, bare))
