"""The hyperparameters over the steps of a run."""

from __future__ import annotations

import pytest

from kidneyseg.training.plan import TrainingPlan


def test_the_cosine_schedule_warms_up_and_decays_to_zero() -> None:
    plan = TrainingPlan(steps=1000, learning_rate=2e-3)
    rates = [plan.learning_rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(2e-3 / 20, rel=1e-3)
    assert max(rates) == rates[19] == pytest.approx(2e-3, rel=2e-3)
    assert rates[19:] == sorted(rates[19:], reverse=True)
    assert rates[500] == pytest.approx(1e-3)
    assert rates[-1] < 1e-8


def test_the_step_schedule_divides_by_ten_in_the_middle() -> None:
    plan = TrainingPlan(steps=5, learning_rate=1e-3, schedule="step")
    assert [plan.learning_rate_at(step) for step in range(5)] == [1e-3, 1e-3, 1e-3, 1e-4, 1e-4]


def test_the_average_forgets_its_start() -> None:
    plan = TrainingPlan(steps=10_000, ema_decay=0.995)
    assert plan.ema_decay_at(0) == 0.1
    assert plan.ema_decay_at(90) == 0.91
    assert plan.ema_decay_at(9_000) == 0.995
    assert TrainingPlan(steps=100, freeze_norms_at=0.6).freeze_step == 60
