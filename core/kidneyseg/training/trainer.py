"""The training loop: a step depends only on the state before it and its number, so a run resumes bit for bit."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kidneyseg.datasets.cache import array_key
from kidneyseg.errors import Cancelled
from kidneyseg.models import save_model
from kidneyseg.progress import Progress
from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.layers import BatchNormReLU
from kidneyseg.sparse.memory import out_of_memory
from kidneyseg.training.batches import Batch, Loader, Sample, Sampler
from kidneyseg.training.checkpoints import load_checkpoint, save_checkpoint
from kidneyseg.training.distributed import synchronise_norms
from kidneyseg.training.losses import segmentation_loss
from kidneyseg.training.plan import RunOptions, TrainingPlan
from kidneyseg.training.precision import forward
from kidneyseg.training.run_folder import refuse_difference
from kidneyseg.training.training_log import TrainingLog, time_left

__all__ = ["RunOptions", "Sample", "Sampler", "Trainer", "TrainingPlan"]

log = logging.getLogger(__name__)

# The purpose of a batch, as part of its seed.
_STEP, _NORMS = 0, 1


@dataclass
class Best:
    """The averaged network with the best validation score so far."""

    score: float
    step: int
    network: dict[str, Tensor]


class Trainer:
    """Trains one network; its checkpoints and log are in `folder`, from where it resumes."""

    def __init__(
        self,
        network: SparseUNet,
        sampler: Sampler,
        plan: TrainingPlan,
        folder: Path,
        validate: Callable[[SparseUNet], dict[str, float]] | None = None,
        *,
        seed: int = 0,
        options: RunOptions | None = None,
        cases: Sequence[str] = (),
    ) -> None:
        """`validate` scores a network by metric; `cases` are the names of the training cases, saved with the network.

        Raises:
            SettingsError: when the folder's checkpoint was made with another plan, network or version.
            ModelError: when every checkpoint there is damaged.
        """
        self.plan, self.folder, self.validate, self.cases = plan, folder, validate, tuple(cases)
        self.options = options or RunOptions()
        ranks = self.options.ranks
        if ranks.count > 1:
            synchronise_norms(network)
        self.network = network.to(self.options.device)  #: which the optimiser updates
        self.average = copy.deepcopy(self.network)  #: the moving average of its weights, which becomes the result
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
        self.scaler = torch.amp.GradScaler(self.options.device.type, enabled=self.options.precision == "fp16")
        self.loader = Loader(sampler, seed, ranks.shard(plan.batch), self.options.workers)
        self.step = 0  #: steps done
        self.best: Best | None = None  #: the best average by validation, if there was a validation
        self._losses: list[float] = []  # since the last row of the log
        self._first_sample = ""
        self._result: SparseUNet | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._restore()

    def run(self, progress: Progress | None = None) -> SparseUNet:
        """Train to the end of the plan; returns the finished network in eval mode.

        Raises:
            Cancelled: after `progress` was cancelled, with a checkpoint of the last step written.
        """
        progress, ranks, plan = progress or Progress(), self.options.ranks, self.plan
        if ranks.first:
            self._compare_first_sample()
        started, first = time.monotonic(), self.step
        steps = self.loader.batches(_STEP, range(self.step, plan.steps))
        with TrainingLog(self.folder if ranks.first else None, self.step) as training_log, closing(steps):
            for batch in steps:
                if self.step == plan.freeze_step:
                    self._measure_norms([self.network, self.average], plan.norm_samples)
                losses = self._one_step(batch)
                self._losses += losses
                self.step += 1
                self._check(training_log)
                left = (time.monotonic() - started) / (self.step - first) * (plan.steps - self.step)
                loss = losses[-1] if losses else float("nan")
                progress.show(f"step {self.step}, loss {loss:.3f}, {time_left(left)} left", self.step / plan.steps)
                if self.step < plan.steps and ranks.any(progress.cancelled):
                    self._store()
                    raise Cancelled
        self._result = self.finished()
        return self._result

    def finished(self) -> SparseUNet:
        """The result in eval mode: the best or the last average, according to the options."""
        if self.options.keep == "last" or self.best is None:
            return self._evaluated_average()
        network = copy.deepcopy(self.average)
        network.load_state_dict(self.best.network)
        return network.eval()

    def save(self, path: Path, info: dict[str, object]) -> None:
        """Write the finished network with `info` and the steps, the seed and the training cases.

        Raises:
            ModelError: when training diverged.
        """
        kept = self.best if self.options.keep == "best" else None
        own: dict[str, object] = {"steps": kept.step if kept else self.step, "seed": self.loader.seed}
        if self.cases:
            own["trained on"] = list(self.cases)
        network = (self._result or self.finished()).arrays
        if any(self.plan.class_bias):
            own["class bias"] = list(self.plan.class_bias)
            network = network.biased(self.plan.class_bias)
        save_model(network, path, {**own, **info})

    def _evaluated_average(self) -> SparseUNet:
        """A copy of the average in eval mode, its norm statistics measured if they are not fixed yet."""
        network = copy.deepcopy(self.average)
        if self.step <= self.plan.freeze_step:
            # An intermediate validation needs less accuracy than the result.
            done = self.step == self.plan.steps
            self._measure_norms([network], self.plan.norm_samples if done else max(1, self.plan.norm_samples // 4))
        return network.eval()

    @torch.no_grad()
    def _measure_norms(self, networks: Sequence[SparseUNet], count: int) -> None:
        """Set the norms' statistics to their mean over some batches.

        Running averages lag behind weights that still change; with one case per batch that costs most of the Dice.
        """
        norms = [norm for network in networks for norm in _norms_of(network)]
        momenta = [norm.momentum for norm in norms]
        for i, batch in enumerate(self.loader.batches(_NORMS, range(count))):
            for norm in norms:
                norm.momentum = 1.0 / (i + 1)  # the plain mean over all batches so far
            for network in networks:
                self._logits(network.train(), batch)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def _logits(self, network: SparseUNet, batch: Batch) -> Tensor:
        device = self.options.device
        return forward(network, batch.cells.to(device), batch.features.to(device), self.options.precision)

    def _one_step(self, batch: Batch) -> list[float]:
        """One optimiser step; returns its loss. A sample that exceeds the memory is left out, with a warning."""
        while True:
            try:
                return [self._optimise(batch)]
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error) or self.options.ranks.count > 1:
                    raise
            self.optimizer.zero_grad(set_to_none=True)
            if self.options.device.type == "cuda":
                torch.cuda.empty_cache()
            largest = max(batch.samples, key=lambda sample: len(sample.cells))
            name, points = largest.case or "a case", len(largest.cells)
            log.warning("%s: out of memory with %d points in step %d; the sample is left out", name, points, self.step)
            rest = [sample for sample in batch.samples if sample is not largest]
            if not rest:
                return []
            batch = Batch.of(rest)

    def _optimise(self, batch: Batch) -> float:
        plan, ranks = self.plan, self.options.ranks
        for group in self.optimizer.param_groups:
            group["lr"] = plan.learning_rate_at(self.step)
        self.network.train()
        if self.step >= plan.freeze_step:
            for norm in _norms_of(self.network):
                norm.eval()
        labels, samples = batch.labels.to(self.options.device), batch.cells[:, 3].to(self.options.device)
        logits = self._logits(self.network, batch)
        weights, smooth = (plan.class_weights, plan.dice_weight), plan.dice_smooth
        loss = segmentation_loss(logits, labels, samples, *weights, ranks.total, smooth=smooth, absent=plan.dice_absent)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        ranks.sum_gradients(self.network.parameters())
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), plan.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = self.plan.ema_decay_at(self.step)
        for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            mean.lerp_(value, 1 - decay)

    def _check(self, training_log: TrainingLog) -> None:
        """After a step: validate and log, and write a checkpoint, when either is due."""
        plan, done = self.plan, self.step == self.plan.steps
        if self.step % plan.check_every == 0 or done:
            metrics = {"learning_rate": plan.learning_rate_at(self.step - 1)}
            if self._losses:
                metrics["loss"] = float(np.mean(self._losses))
            self._losses = []
            if self.validate is not None:
                network = self._evaluated_average()
                ranks = self.options.ranks
                scores = ranks.from_first(self.validate(network) if ranks.first else {})
                self._keep_best(network, scores)
                metrics |= scores
            training_log.note(self.step, metrics)
        if self.step % self.options.checkpoint_every == 0 or done:
            self._store()

    def _keep_best(self, network: SparseUNet, scores: dict[str, float]) -> None:
        means = [value for name, value in scores.items() if name.endswith(" mean")]
        if not means or self.plan.freeze_step >= self.step < self.plan.steps:
            return
        score = float(np.mean(means))
        if self.best is None or score > self.best.score:
            self.best = Best(score, self.step, copy.deepcopy(network.state_dict()))

    def _store(self) -> None:
        if not self.options.ranks.first:
            return
        state = {
            "identity": self._identity(),
            "first sample": self._first_sample,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "losses": self._losses,
            "best": vars(self.best) if self.best else None,
        }
        save_checkpoint(state, self.folder)

    def _restore(self) -> None:
        ranks = self.options.ranks
        state = ranks.from_first(load_checkpoint(self.folder) if ranks.first else None)
        if state is None:
            self.network.load_state_dict(ranks.from_first(copy.deepcopy(self.network).cpu().state_dict()))
            self.average.load_state_dict(self.network.state_dict())
            return
        refuse_difference(state["identity"], self._identity(), self.folder)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # else begun in another precision
            self.scaler.load_state_dict(state["scaler"])
        self.step, self._losses, self._first_sample = state["step"], state["losses"], state["first sample"]
        self.best = Best(**state["best"]) if state["best"] else None
        log.info("resuming from step %d of %d", self.step, self.plan.steps)

    def _identity(self) -> dict[str, Any]:
        """What must stay the same for a checkpoint to be resumed, as plain values."""
        plan = {field.name: getattr(self.plan, field.name) for field in fields(TrainingPlan)}
        own = {"seed": self.loader.seed, "class_weights": list(self.plan.class_weights), "network": self.network.config}
        return {**plan, **own}

    def _compare_first_sample(self) -> None:
        """Draw the run's first sample again and warn when it differs from that drawn when the run began."""
        sample = self.loader.draw(_STEP, 0, 0)
        digest = array_key([sample.cells, sample.features, sample.labels])
        if self._first_sample not in ("", digest):
            log.warning(
                "samples are no longer drawn as when the run in %s began (other cases, lesions or version); "
                "it continues with the new ones",
                self.folder,
            )
        self._first_sample = digest


def _norms_of(network: SparseUNet) -> list[BatchNormReLU]:
    return [module for module in network.modules() if isinstance(module, BatchNormReLU)]
