"""The training loop: learns, resumes bit for bit, saves what the program loads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bright_ball import PLAN, BrightBall, state, trainer
from kidneyseg.errors import Cancelled, ModelError, SettingsError
from kidneyseg.models import load_model, save_model
from kidneyseg.progress import CallbackProgress
from kidneyseg.sparse import SparseUNet
from kidneyseg.training.batches import Batch, Sample
from kidneyseg.training.checkpoints import load_checkpoint
from kidneyseg.training.losses import segmentation_loss
from kidneyseg.training.precision import forward
from kidneyseg.training.trainer import RunOptions
from kidneyseg.training.validation import validator


def test_it_learns_and_the_program_loads_the_result(tmp_path: Path, kernels: torch.device) -> None:
    work = trainer(tmp_path / "run", options=RunOptions(device=kernels))
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
    assert (tmp_path / "run" / "log.csv").read_text().splitlines()[0] == "step,rate,loss,ball mean,ball worst"


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, kernels: torch.device) -> None:
    options = RunOptions(device=kernels)
    whole = trainer(tmp_path / "whole", options=options).run()
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    stopped = trainer(tmp_path / "parts", options=options)
    with pytest.raises(Cancelled):
        stopped.run(CallbackProgress(count, lambda: steps >= 43))
    resumed = trainer(tmp_path / "parts", options=options)
    assert resumed.step == steps == 43
    parts = resumed.run()
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(parts), strict=True))


def test_another_plan_or_network_is_refused(tmp_path: Path, kernels: torch.device) -> None:
    plan, options = replace(PLAN, steps=2, norm_samples=1), RunOptions(device=kernels)
    trainer(tmp_path, plan, options).run()
    assert trainer(tmp_path, plan, options).step == 2
    with pytest.raises(SettingsError, match=r"begun with another rate: 0\.01, not 0\.02; give the same arguments"):
        trainer(tmp_path, replace(plan, rate=0.02))


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """The toy's training in a process of its own."""
    command = [
        sys.executable,
        str(Path(__file__).parents[2] / "helpers" / "bright_ball.py"),
        str(folder),
        *map(str, arguments),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def read_until(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        if line.startswith(beginning):
            return
        said.append(line)
    raise AssertionError("".join(said))


def test_a_killed_or_interrupted_process_goes_on_to_the_same_weights(tmp_path: Path, device: str) -> None:
    with start(tmp_path / "whole", device, 40, 2, 0) as whole:
        assert whole.wait() == 0
    with start(tmp_path / "parts", device, 40, 2, 0.05) as first:
        read_until(first, "step 11,")
        first.kill()  # after the checkpoint of step 7
    with start(tmp_path / "parts", device, 40, 2, 0.05) as second:
        read_until(second, "step 8,")
        read_until(second, "step 17,")
        second.send_signal(signal.SIGTERM)
        read_until(second, "stopped 1")
        assert second.wait() == 0
    with start(tmp_path / "parts", device, 40, 2, 0.05) as third:
        read_until(third, "step 24,")
        third.send_signal(signal.SIGINT)
        read_until(third, "stopped 2")
    with start(tmp_path / "parts", device, 40, 2, 0) as last:
        assert last.wait() == 0
    weights = [torch.load(tmp_path / each / "weights.pt", weights_only=True) for each in ("whole", "parts")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    logs = [(tmp_path / each / "log.csv").read_text() for each in ("whole", "parts")]
    assert [line.split(",")[0] for line in logs[1].splitlines()] == ["step", "10", "20", "30", "40"]
    # Losses are averaged over the steps since the row before, also across an interruption.
    assert logs[0] == logs[1]


def test_the_best_is_kept_once_norms_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: torch.device
) -> None:
    scores = {20: 0.9, 40: 0.7, 60: 0.6}
    work = trainer(tmp_path / "best", options=RunOptions(device=kernels))
    monkeypatch.setattr(work, "validate", lambda network: {"ball mean": scores[work.step], "ball worst": 0.0})
    best = work.run()
    assert work.best is not None
    assert (work.best.score, work.best.step) == (0.7, 40)  # step 20 came before the norms stood still
    last = trainer(tmp_path / "best", options=RunOptions(device=kernels, keep="last"))
    assert not all(torch.equal(a, b) for a, b in zip(state(best), state(last.run()), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(state(last.average), state(last.run()), strict=True))
    again = trainer(tmp_path / "best", options=RunOptions(device=kernels))
    assert all(torch.equal(a, b) for a, b in zip(state(best), state(again.run()), strict=True))


def test_a_sample_without_memory_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kernels: torch.device
) -> None:
    work = trainer(tmp_path, replace(PLAN, steps=4, batch=2, norm_samples=1), RunOptions(device=kernels))
    loss_of = work._learn

    def learn(batch: Batch) -> float:
        if work.step == 1 and len(batch.samples) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if work.step == 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 10 bytes")
        return loss_of(batch)

    monkeypatch.setattr(work, "_learn", learn)
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


def test_sixteen_bits_learn_on_weights_in_thirty_two(tmp_path: Path, kernels: torch.device) -> None:
    sample = BrightBall().draw(np.random.default_rng(5))
    batch = Batch.of([sample, sample])
    cells, features = batch.cells.to(kernels), batch.features.to(kernels)
    work = trainer(tmp_path, replace(PLAN, steps=40, norm_samples=2), RunOptions(device=kernels, precision="bf16"))
    work.network.train()
    half, full = (forward(work.network, cells, features, precision) for precision in ("bf16", "fp32"))
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, rtol=0.1, atol=0.1)
    network = work.run()
    assert {value.dtype for value in state(network)} == {torch.float32}
    score = validator([sample], ("ball",))
    assert score is not None
    assert score(network)["ball mean"] > 0.8


def test_a_run_goes_on_in_another_precision(tmp_path: Path) -> None:
    """A checkpoint written in fp32 has no state of the loss' scale, which fp16 keeps."""
    work = trainer(tmp_path)
    work._store()
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert state["scaler"] == {}
    on = trainer(tmp_path, options=RunOptions(precision="fp16"))
    assert on.scaler.is_enabled()
    assert on.scaler.get_scale() > 1


def test_a_sample_without_memory_is_named_and_the_others_are_scored(caplog: pytest.LogCaptureFixture) -> None:
    class Small(SparseUNet):
        def forward(
            self, coords: torch.Tensor, features: torch.Tensor, spatial_size: int | None = None
        ) -> torch.Tensor:
            if len(coords) > 3:
                raise MemoryError
            return torch.nn.functional.one_hot(features[:, 0].long(), 2).float()

    def sample(labels: list[int], case: str) -> Sample:
        values = np.array(labels, np.uint8)
        return Sample(np.zeros((len(values), 3), np.int64), values[:, None].astype(np.float32), values, case)

    score = validator([sample([0, 1, 1], "fits"), sample([0, 1, 1, 0], "too_large")], ("kidney",))
    assert score is not None
    assert score(Small(1, 2, [4])) == {"kidney mean": 1.0, "kidney worst": 1.0}
    assert "too_large: out of memory with 4 points; it is not scored" in caplog.text


def test_norms_stand_still_once_frozen(tmp_path: Path, kernels: torch.device) -> None:
    work = trainer(tmp_path, options=RunOptions(device=kernels))
    work.run()
    at_end = work.network.stem, work.network.unet.down_norm.running_mean.clone()
    work._one_step(Batch.of([work.loader.draw(0, 60, 0)]))
    assert torch.equal(work.network.unet.down_norm.running_mean, at_end[1])


def test_loss_is_lowest_for_the_truth_and_falls_on_false_finds_of_absent_classes() -> None:
    labels, one = torch.tensor([0, 0, 1, 1, 0]), torch.zeros(5, dtype=torch.int64)
    right = torch.nn.functional.one_hot(labels, 3).float() * 20
    wrong = right.roll(1, dims=1)
    assert segmentation_loss(right, labels, one, (1, 1, 1), 1.0) < 1e-3
    assert segmentation_loss(wrong, labels, one, (1, 1, 1), 1.0) > 5
    nothing = torch.zeros(400, dtype=torch.int64)
    false = torch.nn.functional.one_hot(nothing + 2, 3).float() * 20
    dice = segmentation_loss(false, nothing, nothing, (1, 1, 1), 1.0) - segmentation_loss(
        false, nothing, nothing, (1, 1, 1), 0.0
    )
    assert dice.item() == pytest.approx((1 - 100 / 500) / 2, rel=1e-3)


def test_a_small_tumour_counts_as_much_as_one_in_another_sample() -> None:
    """All points as one would hardly tell that a tumour of 300 points was missed beside one of 30000."""
    labels, samples = torch.zeros(60_000, dtype=torch.int64), torch.arange(60_000) // 30_000
    labels[:300], labels[30_000:] = 2, 2
    right = torch.nn.functional.one_hot(labels, 3).float() * 20
    loss = []
    for part in (slice(0, 300), slice(30_000, 30_300)):
        missed = right.clone()
        missed[part] = torch.tensor([20.0, 0.0, 0.0])
        loss.append(segmentation_loss(missed, labels, samples, (1, 1, 1), 1.0).item())
    assert loss[0] - loss[1] == pytest.approx((1 - 100 / 400) / 4, abs=0.01)


def test_a_diverged_network_is_not_saved(tmp_path: Path) -> None:
    network = SparseUNet(1, 2, [4])
    network.stem.weight.data.fill_(1e6)
    with pytest.raises(ModelError, match="beyond fp16"):
        save_model(network, tmp_path / "n.safetensors", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["missing", "cut", "text"])
def test_a_damaged_network_says_the_mend(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "net.safetensors"
    save_model(SparseUNet(1, 2, [4]), path, {})
    content = path.read_bytes()
    path.unlink() if damage == "missing" else path.write_bytes(content[:200] if damage == "cut" else b"hello")
    with pytest.raises(ModelError, match="kidneyseg train"):
        load_model("net", tmp_path)


def test_a_kidney_that_may_be_tumour_is_right_as_either():
    labels, one = torch.tensor([0, 3, 3, 1]), torch.zeros(4, dtype=torch.int64)
    tissue, kidney, tumour = (20.0 * torch.eye(3)[k] for k in range(3))
    right = torch.stack([tissue, kidney, tumour, kidney])
    halves = torch.stack([tissue, kidney + tumour, kidney + tumour, kidney])
    for logits in (right, halves):
        assert segmentation_loss(logits, labels, one, (1, 1, 1), 1.0) < 0.05
    missed, lost = torch.stack([tissue, tissue, tumour, kidney]), 20 - float(np.log(2))
    assert segmentation_loss(missed, labels, one, (1, 1, 1), 0.0).item() == pytest.approx(lost / 4, rel=1e-3)
    assert segmentation_loss(missed, labels, one, (1, 5, 1), 0.0).item() == pytest.approx(5 * lost / 16, rel=1e-3)
