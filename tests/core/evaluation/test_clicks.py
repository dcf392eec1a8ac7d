"""Simulated clicks and their scores."""

from __future__ import annotations

import pytest

from click_scene import click_scene
from kidneyseg.evaluation.click_tasks import MISSED, ClickTask, click_tasks
from kidneyseg.evaluation.clicks import score_clicks
from kidneyseg.evaluation.variants import CaseVariant

MADE = click_scene()
VARIANT = CaseVariant("made", "", MADE.volume, MADE.truth)


@pytest.fixture(scope="module")
def missed() -> ClickTask:
    return next(task for task in click_tasks(VARIANT, MADE.missed, MADE.cloud) if task.kind == MISSED)


def test_clicks_raise_the_dice_of_a_missed_tumour(missed: ClickTask) -> None:
    score = score_clicks(VARIANT, missed, 2, case="made")
    assert score.dice[0] == 0
    assert score.dice[1] > 0.8
    assert len(score.dice) == 3
    assert score.case_dice is not None
    assert score.case_dice[1] > 0.8
    assert len(score.seconds) == len(score.clicks) <= 2
    assert score.worse_outside == 0


def test_the_first_click_lies_in_the_middle_of_the_largest_error(missed: ClickTask) -> None:
    *voxel, label = score_clicks(VARIANT, missed, 1).clicks[0]
    assert label == 2
    assert MADE.truth[tuple(voxel)] == 2
    assert abs(voxel[0] - 42) <= 1
    assert abs(voxel[2] - 20) <= 1


def test_what_is_right_needs_no_click() -> None:
    task = next(iter(click_tasks(VARIANT, MADE.missed, MADE.cloud)))
    right = ClickTask(task.kind, MADE.truth, task.evidence, task.region, task.classes, task.ml)
    score = score_clicks(VARIANT, right, 2)
    assert score.clicks == ()
    assert score.dice == (1.0, 1.0, 1.0)
