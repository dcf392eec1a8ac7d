"""How one network is trained: its hyperparameters, what they give at each step, and how the run is executed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch

from kidneyseg.training.distributed import Ranks
from kidneyseg.training.precision import Precision


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """The hyperparameters of one training run."""

    steps: int  #: optimiser steps in all
    batch: int = 1  #: samples per step
    learning_rate: float = 2e-3  #: its peak
    #: "cosine" warms up over 2 % of the steps, then decays to zero along a half cosine; "step" keeps `learning_rate`
    #: for the first half of the steps and a tenth of it for the second
    schedule: Literal["cosine", "step"] = "cosine"
    weight_decay: float = 1e-4  #: of AdamW; 0 makes it Adam
    gradient_clip: float = 5.0  #: the largest norm of all gradients together; larger ones are scaled down to it
    class_weights: tuple[float, ...] = (1.0, 1.0)  #: of the cross-entropy, one per class
    #: one per class, added to the last layer's bias when the network is saved: a class with more is labelled at a lower
    #: probability. One number for all classes changes nothing. A training that starts from such a network begins with
    #: its bias, and adds to what is left of it in the end.
    class_bias: tuple[float, ...] = (0.0,)
    dice_weight: float = 1.0  #: of the soft Dice loss beside the cross-entropy
    dice_smooth: float = 100.0  #: smoothing term of the soft Dice, in points; see `losses`
    dice_absent: bool = True  #: whether the Dice of a class counts in samples without it; see `losses`
    ema_decay: float = 0.995  #: of the exponential moving average of the weights; 0 takes the weights themselves
    #: share of the steps after which BatchNorm's statistics are fixed: the network then learns with those of inference
    freeze_norms_at: float = 0.5
    norm_samples: int = 24  #: batches over which these statistics are measured
    check_every: int = 100  #: steps between validations

    @property
    def freeze_step(self) -> int:
        """The first step with fixed norm statistics; equal to `steps` when they are never fixed."""
        return round(self.steps * self.freeze_norms_at)

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if self.schedule == "step":
            return self.learning_rate if 2 * step < self.steps else self.learning_rate / 10
        warm_up = max(1, self.steps // 50)
        return self.learning_rate * min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def ema_decay_at(self, step: int) -> float:
        """The decay after a step, counted from 0: lower at first, so that the initial weights are soon forgotten."""
        return min(self.ema_decay, (1 + step) / (10 + step))


@dataclass(frozen=True)
class RunOptions:
    """How a run is executed."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))  #: where the network is
    precision: Precision = "fp32"  #: of the convolutions; "bf16" and "fp16" are meant for CUDA
    workers: int = 0  #: threads that draw samples ahead
    checkpoint_every: int = 100  #: steps between checkpoints
    #: which network is the result: "best" by validation among those checked once the norms were frozen (earlier ones
    #: are scored with statistics that inference does not have), or "last". Without validation it is the last.
    keep: Literal["best", "last"] = "best"
    ranks: Ranks = field(default_factory=Ranks)  #: the processes that train together
