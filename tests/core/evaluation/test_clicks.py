"""Simulated clicks."""

from __future__ import annotations

import numpy as np
import pytest

from kidneyseg.editing import Voxels
from kidneyseg.evaluation import SegmentationSpec, clicks, measure_clicks
from kidneyseg.evaluation.click_tasks import FALSE_TUMOUR, WITHHELD, ClickTask, click_tasks
from kidneyseg.evaluation.clicks import score_clicks
from kidneyseg.evaluation.scores import Failure
from kidneyseg.evaluation.variants import CaseVariant
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.settings import preset
from labelled_cases import labelled_cases
from lesion_phantom import TUMOUR_AT, lesion_evidence, lesion_phantom
from tiny_networks import tiny_models

VOLUME, TRUTH = lesion_phantom()
VARIANT = CaseVariant("box", "g", VOLUME, TRUTH)
TASKS = {task.kind: task for task in click_tasks(VARIANT, TRUTH, lesion_evidence(VOLUME, TRUTH))}


@pytest.fixture
def fixed(monkeypatch):
    """Replaces `fix`: each call answers with the next of these changes, as a mask."""

    def install(*masks):
        answers = iter(masks)

        def fix(volume, labels, evidence, made):
            mask = next(answers)
            index = np.flatnonzero((mask != labels).reshape(-1, order="F")).astype(np.uint32)
            return Voxels(index, mask.reshape(-1, order="F")[index])

        monkeypatch.setattr(clicks, "fix", fix)

    return install


def test_the_first_click_is_in_the_middle_and_dice_follows_the_mask(fixed) -> None:
    task = TASKS[WITHHELD]
    half = task.labels.copy()
    half[: TUMOUR_AT[0] + 1][TRUTH[: TUMOUR_AT[0] + 1] == TUMOUR] = TUMOUR
    fixed(half, TRUTH)
    score = score_clicks(VARIANT, task, 3, case="ct")
    assert score.clicks[0] == (*TUMOUR_AT, TUMOUR)
    assert score.clicks[1][0] > TUMOUR_AT[0]
    assert score.clicks[1][3] == TUMOUR
    assert score.dice[0] == 0
    assert 0.6 < score.dice[1] < 0.8
    assert score.dice[2:] == (1, 1)
    assert score.case_dice == score.dice
    assert (len(score.clicks), len(score.seconds)) == (2, 2)  # nothing is left to click on
    assert (score.name, score.case, score.group, score.kind) == ("box", "ct", "g", WITHHELD)
    assert score.to_dict()["ml"] == task.ml


def test_too_much_tumour_is_clicked_with_the_label_that_is_true(fixed) -> None:
    task = TASKS[WITHHELD]
    fixed(np.where(TRUTH == KIDNEY, np.uint8(TUMOUR), TRUTH), TRUTH)
    score = score_clicks(VARIANT, task, 2)
    assert score.clicks[1][3] == KIDNEY
    assert score.case == "box"


def test_what_becomes_worse_beyond_the_reach_is_counted(fixed) -> None:
    task = TASKS[WITHHELD]
    mask = TRUTH.copy()
    mask[:2, :2, :2] = TUMOUR
    fixed(mask)
    assert score_clicks(VARIANT, task, 1).worse_outside == 8


def test_a_false_tumour_is_scored_by_what_was_put_right(fixed) -> None:
    task = TASKS[FALSE_TUMOUR]
    fixed(TRUTH)
    assert score_clicks(VARIANT, task, 1).dice == (0, 1)
    wrong = TRUTH.copy()
    wrong[task.region.box][task.region.inside & (TRUTH[task.region.box] == KIDNEY)] = 0
    fixed(wrong)
    assert score_clicks(VARIANT, task, 1).dice[1] < 0.5


def test_real_clicks_find_a_withheld_tumour() -> None:
    score = score_clicks(VARIANT, TASKS[WITHHELD], 2)
    assert score.dice[2] > 0.85
    assert score.worse_outside == 0
    assert max(score.seconds) < 20


def test_every_version_is_segmented_and_failures_are_named(tmp_path) -> None:
    cases = labelled_cases(tmp_path)
    cases[1].labels.unlink()
    spec = SegmentationSpec(preset("default"), tiny_models(tmp_path), "cpu")
    *scores, failure = measure_clicks(cases, spec, clicks=1)
    assert {score.kind for score in scores} == {"false tumour", "missing kidney pole"}
    assert {score.name for score in scores} == {"a"}
    assert all(len(score.dice) == 2 and score.case_dice is None for score in scores)
    assert isinstance(failure, Failure)
    assert failure.name == "b"


def test_a_task_is_compared_within_its_region() -> None:
    task = TASKS[WITHHELD]
    assert isinstance(task, ClickTask)
    assert task.chosen(TRUTH).sum() == (TRUTH == TUMOUR).sum()
