"""How one network is trained: the numbers, what follows from them step by step, and how the run is carried out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch

from kidneyseg.training.distributed import Ranks
from kidneyseg.training.precision import Precision

Schedule = Literal["cosine", "two phases"]


@dataclass(frozen=True)
class TrainingPlan:
    """How to train one network.

    Attributes:
        steps: optimiser steps in all.
        batch: samples per step.
        rate: peak learning rate.
        schedule: "cosine" warms up over 2 % of the steps, then falls to zero along a cosine; "two phases" keeps `rate`
            for the first half and a tenth of it for the second.
        weight_decay: of AdamW; with 0 that is Adam.
        class_weights: of the cross-entropy, one per class.
        dice_weight: of the soft Dice loss that is added to it. dice_given: points that smooth it, see `losses`.
        seed: of everything drawn.
        smoothing: the exponential moving average of the weights forgets with this rate; 0 takes the weights themselves.
        freeze_norms_at: share of the steps after which BatchNorm uses fixed statistics, measured over `norm_samples`
            batches: the network then learns with exactly the norms that inference will use.
        norm_samples: batches over which norm statistics are measured.
        check_every: steps between validations.
    """

    steps: int
    batch: int = 1
    rate: float = 2e-3
    schedule: Schedule = "cosine"
    weight_decay: float = 1e-4
    class_weights: tuple[float, ...] = (1.0, 1.0)
    dice_weight: float = 1.0
    dice_given: float = 100.0
    seed: int = 0
    smoothing: float = 0.995
    freeze_norms_at: float = 0.5
    norm_samples: int = 24
    check_every: int = 100

    @property
    def freeze_step(self) -> int:
        """The first step with fixed norm statistics; `steps` when that never comes."""
        return round(self.steps * self.freeze_norms_at)

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if self.schedule == "two phases":
            return self.rate if 2 * step < self.steps else self.rate / 10
        warm = max(1, self.steps // 50)
        return self.rate * min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def smoothing_at(self, step: int) -> float:
        """What the average keeps of itself after a step: less early on, when it mostly remembers the start."""
        return min(self.smoothing, (1 + step) / (10 + step))


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out.

    Attributes:
        device: where the network is.
        precision: in which it computes; "bf16" and "fp16" are meant for CUDA.
        workers: threads that draw samples ahead.
        checkpoint_every: steps between checkpoints.
        keep: which network is the result: "best" by validation, of those checked once the norms stood still (before,
            another kind of statistics is scored), or "last". Without validation that is the last.
        ranks: the processes that train together.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    workers: int = 0
    checkpoint_every: int = 100
    keep: Literal["best", "last"] = "best"
    ranks: Ranks = field(default_factory=Ranks)
