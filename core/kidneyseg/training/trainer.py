"""The training loop: draws a step's samples from its number, so that a resumed run continues bit for bit."""

from __future__ import annotations

import copy
import csv
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kidneyseg.models import save_model
from kidneyseg.progress import Progress
from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.layers import BatchNormReLU

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """What one network input is: cells (N, 3) int64 >= 0, features (N, C) float32, labels (N,) uint8."""

    cells: NDArray[np.int64]
    features: NDArray[np.float32]
    labels: NDArray[np.uint8]


class Sampler(Protocol):
    """Draws augmented training samples."""

    def draw(self, rng: np.random.Generator) -> Sample:
        """One sample; all chance comes from `rng`."""


@dataclass(frozen=True)
class TrainingPlan:
    """How to train one network.

    Attributes:
        steps: optimiser steps in all.
        batch: samples per step.
        rate: peak learning rate; warms up over 2 % of the steps, then falls to zero along a cosine.
        class_weights: of the cross-entropy, one per class.
        dice_weight: of the soft Dice loss that is added to it.
        seed: of everything drawn.
        smoothing: the exponential moving average of the weights forgets with this rate.
        freeze_norms_at: share of the steps after which BatchNorm uses fixed statistics, measured over `norm_samples`
            batches: the network then learns with exactly the norms that inference will use.
        norm_samples: batches over which norm statistics are measured.
        check_every: steps between checkpoints and validations.
    """

    steps: int
    batch: int = 1
    rate: float = 2e-3
    class_weights: tuple[float, ...] = (1.0, 1.0)
    dice_weight: float = 1.0
    seed: int = 0
    smoothing: float = 0.995
    freeze_norms_at: float = 0.5
    norm_samples: int = 24
    check_every: int = 100


class Trainer:
    """Trains one network in `folder`, where its checkpoint, log and result live; picks up where it was left."""

    def __init__(
        self,
        network: SparseUNet,
        sampler: Sampler,
        plan: TrainingPlan,
        folder: Path,
        validate: Callable[[SparseUNet], dict[str, float]] | None = None,
    ) -> None:
        self.network, self.sampler, self.plan, self.folder = network, sampler, plan, folder
        self.validate = validate
        self.average = copy.deepcopy(network)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=1e-4)
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "checkpoint.pth").is_file():
            self._restore()

    def run(self, progress: Progress | None = None) -> SparseUNet:
        """Train to the plan's end; returns the averaged network with measured norm statistics, in eval mode."""
        progress = progress or Progress()
        started, first = time.monotonic(), self.step
        while self.step < self.plan.steps:
            if self.step == self._freeze_step:
                self._measure_norms(self.network)
                self._measure_norms(self.average)
            loss = self._one_step()
            self.step += 1
            done = self.step / self.plan.steps
            left = (time.monotonic() - started) / (self.step - first) * (self.plan.steps - self.step)
            progress.update(f"step {self.step}, loss {loss:.3f}, {left / 60:.0f} min left", done)
            if self.step % self.plan.check_every == 0 or self.step == self.plan.steps:
                self._store()
                self._note(loss)
        return self.finished()

    def finished(self) -> SparseUNet:
        """The averaged network in eval mode, its norm statistics measured afresh if they are not fixed yet."""
        network = copy.deepcopy(self.average)
        if self.step <= self._freeze_step:
            self._measure_norms(network)
        return network.eval()

    @property
    def _freeze_step(self) -> int:
        return round(self.plan.steps * self.plan.freeze_norms_at)

    @torch.no_grad()
    def _measure_norms(self, network: SparseUNet) -> None:
        """Set the norms' statistics to their mean over augmented batches.

        Running averages trail behind weights that still move, which with one case a batch costs most of the Dice.
        """
        norms = [module for module in network.modules() if isinstance(module, BatchNormReLU)]
        momentum = norms[0].momentum
        network.train()
        for i in range(self.plan.norm_samples):
            for norm in norms:
                norm.momentum = 1.0 / (i + 1)  # the plain mean over all batches so far
            cells, features, _ = self._batch(np.random.default_rng([self.plan.seed, 1, i]))
            network(cells, features)
        for norm in norms:
            norm.momentum = momentum

    def save(self, path: Path, info: dict[str, object]) -> None:
        """Write the finished network where the program reads it."""
        save_model(self.finished(), path, {**info, "steps": self.step, "seed": self.plan.seed})

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        samples = [self.sampler.draw(rng) for _ in range(self.plan.batch)]
        cells = np.concatenate(
            [np.column_stack([s.cells, np.full(len(s.cells), i)]).astype(np.int64) for i, s in enumerate(samples)]
        )
        features = np.concatenate([s.features for s in samples])
        labels = np.concatenate([s.labels for s in samples])
        return torch.from_numpy(cells), torch.from_numpy(features), torch.from_numpy(labels).long()

    def _one_step(self) -> float:
        plan = self.plan
        warm = max(1, plan.steps // 50)
        share = min(1.0, (self.step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * self.step / plan.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = plan.rate * share
        cells, features, labels = self._batch(np.random.default_rng([plan.seed, 0, self.step]))
        self.network.train()
        if self.step >= self._freeze_step:
            for module in self.network.modules():
                if isinstance(module, BatchNormReLU):
                    module.eval()
        loss = segmentation_loss(self.network(cells, features), labels, plan.class_weights, plan.dice_weight)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self._follow()
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self) -> None:
        # Early on the average would mostly remember the initial weights.
        keep = min(self.plan.smoothing, (1 + self.step) / (10 + self.step))
        for slow, fast in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            slow.lerp_(fast, 1 - keep)

    def _store(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        temporary = self.folder / "checkpoint.part"
        torch.save(state, temporary)
        temporary.replace(self.folder / "checkpoint.pth")

    def _restore(self) -> None:
        state = torch.load(self.folder / "checkpoint.pth", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        log.info("going on from step %d of %d", self.step, self.plan.steps)

    def _note(self, loss: float) -> None:
        scores = self.validate(self.finished()) if self.validate else {}
        row: dict[str, object] = {"step": self.step, "loss": f"{loss:.4f}"}
        row.update({name: f"{value:.4f}" for name, value in scores.items()})
        log.info("%s", ", ".join(f"{name} {value}" for name, value in row.items()))
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


def segmentation_loss(logits: Tensor, labels: Tensor, class_weights: Sequence[float], dice_weight: float) -> Tensor:
    """Weighted cross-entropy plus `dice_weight` times one minus the mean soft Dice of the classes above 0.

    Args:
        logits: (N, classes). labels: int64 (N,).

    A class that has no point in `labels` takes no part in the Dice term; the cross-entropy still sees false positives.
    """
    weights = torch.tensor(class_weights, dtype=logits.dtype, device=logits.device)
    loss = torch.nn.functional.cross_entropy(logits, labels, weights)
    probability = logits.softmax(1)
    terms = []
    for label in range(1, logits.shape[1]):
        truth = (labels == label).to(logits.dtype)
        if dice_weight and float(truth.sum()) > 0:
            p = probability[:, label]
            terms.append(1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1))
    if terms:
        loss = loss + dice_weight * torch.stack(terms).mean()
    return loss
