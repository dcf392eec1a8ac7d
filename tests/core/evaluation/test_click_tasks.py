"""The errors that simulated clicks are to mend."""

from __future__ import annotations

import numpy as np

from click_scene import IN_TUMOUR, click_scene
from kidneyseg.evaluation.click_tasks import FALSE_TUMOUR, KIDNEY_POLE, MISSED, WITHHELD, click_tasks
from kidneyseg.evaluation.variants import CaseVariant

MADE = click_scene()
VARIANT = CaseVariant("made", "", MADE.volume, MADE.truth)


def test_a_missed_lesion_is_two_tasks_and_a_found_one_is_one() -> None:
    kinds = [task.kind for task in click_tasks(VARIANT, MADE.missed, MADE.cloud)]
    assert kinds[:2] == [MISSED, WITHHELD]
    assert next(iter(click_tasks(VARIANT, MADE.truth, MADE.cloud))).kind == WITHHELD


def test_withheld_networks_know_no_tumour() -> None:
    probability = np.zeros((len(MADE.cloud), 3), np.float16)
    probability[:, 0], probability[:, 1], probability[:, 2] = 0.1, 0.2, 0.7
    cloud = type(MADE.cloud)(MADE.cloud.lattice, MADE.cloud.index, MADE.cloud.hu, MADE.cloud.labels, probability)
    task = next(one for one in click_tasks(VARIANT, MADE.truth, cloud) if one.kind == WITHHELD)
    assert task.labels[IN_TUMOUR] == 1
    at = np.flatnonzero((MADE.cloud.index == IN_TUMOUR).all(axis=1))[0]
    assert task.evidence.probability is not None
    np.testing.assert_allclose(task.evidence.probability[at], [1 / 3, 2 / 3, 0], atol=0.01)


def test_a_pole_is_missing_and_a_ball_is_wrong() -> None:
    tasks = {task.kind: task for task in click_tasks(VARIANT, MADE.truth, MADE.cloud)}
    if FALSE_TUMOUR in tasks:
        false = tasks[FALSE_TUMOUR].labels
        assert ((false == 2) & (MADE.truth != 2)).sum() > 100
    pole = tasks[KIDNEY_POLE].labels
    assert ((pole == 0) & (MADE.truth == 1)).sum() > 500
    assert tasks[KIDNEY_POLE].ml > 1
