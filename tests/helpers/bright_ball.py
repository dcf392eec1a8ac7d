"""A toy problem: a bright ball in a dark block. Also a program, for tests of training in real processes."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kidneyseg.errors import Cancelled
from kidneyseg.interrupts import stop_on_signals
from kidneyseg.progress import CallbackProgress
from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.network import Network
from kidneyseg.training.distributed import joined
from kidneyseg.training.trainer import RunOptions, Sample, Trainer, TrainingPlan
from kidneyseg.training.validation import validator

# A short plan; `LONG` learns the toy.
PLAN = TrainingPlan(steps=12, learning_rate=1e-2, check_every=4, norm_samples=3, ema_decay=0.9)
LONG = TrainingPlan(steps=60, learning_rate=1e-2, check_every=20, norm_samples=3, ema_decay=0.9)


@dataclass(frozen=True)
class BrightBall:
    """A dark block with a bright ball of label 1 somewhere in it."""

    edge: int = 12

    def draw(self, rng: np.random.Generator, step: int = 0) -> Sample:
        edge = self.edge - int(rng.integers(0, 3))  # samples differ in their number of points
        cells = np.argwhere(np.ones((edge, self.edge, self.edge)))
        ball = np.linalg.norm(cells - rng.integers(3, 9, 3), axis=1) < 3
        grey = ball + rng.normal(0, 0.2, len(cells))
        return Sample(cells, grey.astype(np.float32)[:, None], ball.astype(np.uint8), "ball")


def trainer(folder: Path, plan: TrainingPlan = PLAN, options: RunOptions | None = None) -> Trainer:
    torch.manual_seed(0)
    sample = BrightBall().draw(np.random.default_rng(99))
    score = validator([sample], ("ball",))
    return Trainer(SparseUNet(1, 2, [4, 8]), BrightBall(), plan, folder, score, options=options)


def state(network: SparseUNet | Network) -> list[torch.Tensor]:
    module = SparseUNet.of(network) if isinstance(network, Network) else network
    return list(module.state_dict().values())


def main() -> None:
    """FOLDER DEVICE STEPS BATCH SECONDS: train, print each step and then wait; write the weights to weights.pt."""
    folder, device, steps, batch, pause = Path(sys.argv[1]), torch.device(sys.argv[2]), *map(float, sys.argv[3:6])
    plan = TrainingPlan(
        steps=int(steps), batch=int(batch), learning_rate=1e-2, check_every=4, norm_samples=4, ema_decay=0.9
    )

    def said(text: str, _: float) -> None:
        print(text, flush=True)
        time.sleep(pause)

    with joined(device) as ranks, stop_on_signals() as stop:
        work = trainer(folder, plan, RunOptions(device=device, workers=1, checkpoint_every=3, ranks=ranks))
        try:
            network = work.run(CallbackProgress(said, stop.is_set))
        except Cancelled:
            print("stopped", work.step, flush=True)
            return
        if ranks.first:
            torch.save(network.state_dict(), folder / "weights.pt")


if __name__ == "__main__":
    main()
