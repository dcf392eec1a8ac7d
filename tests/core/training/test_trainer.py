"""The training loop: learns, resumes bit for bit, keeps the best network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bright_ball import LONG, PLAN, BrightBall, state, trainer
from kidneyseg.errors import Cancelled, SettingsError
from kidneyseg.models import load_model
from kidneyseg.progress import CallbackProgress
from kidneyseg.training.batches import Batch
from kidneyseg.training.plan import RunOptions
from kidneyseg.training.validation import validator


def test_it_learns_and_the_program_loads_the_result(tmp_path: Path, kernels: torch.device) -> None:
    work = trainer(tmp_path / "run", LONG, RunOptions(device=kernels))
    network = work.run()
    sample = BrightBall().draw(np.random.default_rng(5))
    score = validator([sample], ("ball",))
    assert score is not None
    assert score(network)["ball mean"] > 0.8
    work.save(tmp_path / "net.safetensors", {"made": "for a test"})
    model = load_model("net", tmp_path)
    assert model.info == {"made": "for a test", "steps": work.best.step if work.best else 0, "seed": 0}
    assert model.network.config == network.config
    for ours, stored in zip(state(network), state(model.network), strict=True):
        torch.testing.assert_close(ours.cpu(), stored, rtol=2e-3, atol=2e-3)  # fp16
    assert (tmp_path / "run" / "log.csv").read_text().splitlines()[0] == "step,learning_rate,loss,ball mean,ball worst"


def test_the_saved_network_has_the_plans_class_bias(tmp_path: Path, kernels: torch.device) -> None:
    plan = replace(PLAN, steps=2, class_bias=(0.0, 1.5))
    work = trainer(tmp_path / "run", plan, RunOptions(device=kernels))
    trained = work.run().state_dict()["linear.bias"].cpu().numpy()
    work.save(tmp_path / "net.safetensors", {})
    model = load_model("net", tmp_path)
    assert model.info["class bias"] == [0.0, 1.5]
    np.testing.assert_allclose(model.network.weights["linear.bias"] - trained, [0.0, 1.5], atol=2e-3)


def test_a_stopped_run_continues_bit_for_bit(tmp_path: Path, kernels: torch.device) -> None:
    options = RunOptions(device=kernels)
    whole = trainer(tmp_path / "whole", options=options).run()
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    stopped = trainer(tmp_path / "parts", options=options)
    with pytest.raises(Cancelled):
        stopped.run(CallbackProgress(count, lambda: steps >= 7))
    resumed = trainer(tmp_path / "parts", options=options)
    assert resumed.step == steps == 7
    parts = resumed.run()
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(parts), strict=True))


def test_another_plan_or_network_is_refused(tmp_path: Path, kernels: torch.device) -> None:
    plan, options = replace(PLAN, steps=2, norm_samples=1), RunOptions(device=kernels)
    trainer(tmp_path, plan, options).run()
    assert trainer(tmp_path, plan, options).step == 2
    with pytest.raises(SettingsError, match=r"begun with another learning_rate: 0\.01, not 0\.02; give the same"):
        trainer(tmp_path, replace(plan, learning_rate=0.02))


def test_the_best_is_kept_once_norms_are_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: torch.device
) -> None:
    scores = {4: 0.9, 8: 0.7, 12: 0.6}
    work = trainer(tmp_path / "best", options=RunOptions(device=kernels))
    monkeypatch.setattr(work, "validate", lambda network: {"ball mean": scores[work.step], "ball worst": 0.0})
    best = work.run()
    assert work.best is not None
    assert (work.best.score, work.best.step) == (0.7, 8)  # step 4 came before the norms were frozen
    last = trainer(tmp_path / "best", options=RunOptions(device=kernels, keep="last"))
    assert not all(torch.equal(a, b) for a, b in zip(state(best), state(last.run()), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(state(last.average), state(last.run()), strict=True))
    again = trainer(tmp_path / "best", options=RunOptions(device=kernels))
    assert all(torch.equal(a, b) for a, b in zip(state(best), state(again.run()), strict=True))


def test_a_sample_without_memory_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kernels: torch.device
) -> None:
    work = trainer(tmp_path, replace(PLAN, steps=4, batch=2, norm_samples=1), RunOptions(device=kernels))
    optimise = work._optimise

    def failing(batch: Batch) -> float:
        if work.step == 1 and len(batch.samples) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if work.step == 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 10 bytes")
        return optimise(batch)

    monkeypatch.setattr(work, "_optimise", failing)
    work.run()
    assert work.step == 4
    assert caplog.text.count("ball: out of memory with") == 3  # one of two in step 1, both in step 2


def test_other_samples_than_when_the_run_began_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    work = trainer(tmp_path, replace(PLAN, steps=2, norm_samples=1))
    work.run()
    again = trainer(tmp_path, replace(PLAN, steps=2, norm_samples=1))
    again.run()
    assert "no longer drawn" not in caplog.text
    object.__setattr__(again.loader, "sampler", BrightBall(10))
    again.run()
    assert "no longer drawn" in caplog.text


def test_frozen_norms_keep_their_statistics(tmp_path: Path, kernels: torch.device) -> None:
    work = trainer(tmp_path, options=RunOptions(device=kernels))
    work.run()
    mean = work.network.unet.down_norm.running_mean.clone()
    work._one_step(Batch.of([work.loader.draw(0, 12, 0)]))
    assert torch.equal(work.network.unet.down_norm.running_mean, mean)


def test_large_gradients_are_clipped(tmp_path: Path) -> None:
    def gradient_norm(limit: float) -> float:
        work = trainer(tmp_path / str(limit), replace(PLAN, gradient_clip=limit))
        work._one_step(Batch.of([work.loader.draw(0, 0, 0)]))
        gradients = [value.grad.flatten() for value in work.network.parameters() if value.grad is not None]
        return float(torch.cat(gradients).norm())

    free = gradient_norm(1e9)
    assert free > 0.1
    assert gradient_norm(free / 10) == pytest.approx(free / 10, rel=1e-3)
    assert PLAN.gradient_clip == 5.0


def test_the_average_is_an_exponential_moving_average_of_the_weights(tmp_path: Path) -> None:
    work = trainer(tmp_path)
    before = work.average.stem.weight.detach().clone()
    work._one_step(Batch.of([work.loader.draw(0, 0, 0)]))
    decay = work.plan.ema_decay_at(0)
    expected = decay * before + (1 - decay) * work.network.stem.weight
    torch.testing.assert_close(work.average.stem.weight, expected)
    assert not torch.equal(before, work.network.stem.weight)
