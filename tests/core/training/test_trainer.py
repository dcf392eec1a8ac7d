"""The training loop: learns, resumes bit for bit, saves what the program loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from kidneyseg.errors import Cancelled, ModelError
from kidneyseg.models import load_model, save_model
from kidneyseg.progress import CallbackProgress
from kidneyseg.sparse import SparseUNet
from kidneyseg.training.batches import Batch
from kidneyseg.training.losses import segmentation_loss
from kidneyseg.training.recipes import validator
from kidneyseg.training.trainer import RunOptions, Sample, Trainer, TrainingPlan


@dataclass(frozen=True)
class BrightBall:
    """A dark block with a bright ball of label 1 somewhere in it."""

    def draw(self, rng: np.random.Generator) -> Sample:
        cells = np.argwhere(np.ones((12, 12, 12)))
        ball = np.linalg.norm(cells - rng.integers(3, 9, 3), axis=1) < 3
        grey = ball + rng.normal(0, 0.2, len(cells))
        return Sample(cells, grey.astype(np.float32)[:, None], ball.astype(np.uint8))


PLAN = TrainingPlan(steps=60, rate=1e-2, check_every=20, norm_samples=3, smoothing=0.9)


def trainer(folder: Path, plan: TrainingPlan = PLAN, options: RunOptions | None = None) -> Trainer:
    torch.manual_seed(0)
    sample = BrightBall().draw(np.random.default_rng(99))
    score = validator([sample], ("ball",))
    return Trainer(SparseUNet(1, 2, [4, 8]), BrightBall(), plan, folder, score, options=options)


def state(network: SparseUNet) -> list[torch.Tensor]:
    return list(network.state_dict().values())


def test_it_learns_and_the_program_loads_the_result(tmp_path: Path) -> None:
    work = trainer(tmp_path / "run")
    network = work.run()
    sample = BrightBall().draw(np.random.default_rng(5))
    assert validator([sample], ("ball",))(network)["ball mean"] > 0.8
    work.save(tmp_path / "net.safetensors", {"made": "for a test"})
    model = load_model("net", tmp_path)
    assert model.info == {"made": "for a test", "steps": work.best.step, "seed": 0}
    assert model.network.config == network.config
    for ours, stored in zip(state(network), state(model.network), strict=True):
        torch.testing.assert_close(ours, stored, rtol=2e-3, atol=2e-3)  # fp16
    assert (tmp_path / "run" / "log.csv").read_text().splitlines()[0] == "step,rate,loss,ball mean,ball worst"


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole").run()
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    stopped = trainer(tmp_path / "parts")
    with pytest.raises(Cancelled):
        stopped.run(CallbackProgress(count, lambda: steps >= 43))
    resumed = trainer(tmp_path / "parts")
    assert resumed.step == steps == 43
    parts = resumed.run()
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(parts), strict=True))


def test_norms_stand_still_once_frozen(tmp_path: Path) -> None:
    work = trainer(tmp_path)
    work.run()
    at_end = work.network.stem, work.network.unet.down_norm.running_mean.clone()
    work._one_step(Batch.of([work.loader.draw(0, 60, 0)]))
    assert torch.equal(work.network.unet.down_norm.running_mean, at_end[1])


def test_loss_is_lowest_for_the_truth_and_knows_absent_classes() -> None:
    labels = torch.tensor([0, 0, 1, 1, 0])
    right = torch.nn.functional.one_hot(labels, 3).float() * 20
    wrong = right.roll(1, dims=1)
    assert segmentation_loss(right, labels, (1, 1, 1), 1.0) < 0.05
    assert segmentation_loss(wrong, labels, (1, 1, 1), 1.0) > 5
    only_tissue = torch.zeros(5, dtype=torch.int64)
    assert segmentation_loss(torch.zeros(5, 3), only_tissue, (1, 1, 1), 1.0).item() == pytest.approx(
        np.log(3), rel=1e-5
    )


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
