"""Mixed precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bright_ball import LONG, BrightBall, state, trainer
from kidneyseg.training.batches import Batch
from kidneyseg.training.checkpoints import load_checkpoint
from kidneyseg.training.plan import RunOptions
from kidneyseg.training.precision import forward
from kidneyseg.training.validation import validator


def test_sixteen_bits_learn_on_weights_in_thirty_two(tmp_path: Path, kernels: torch.device) -> None:
    sample = BrightBall().draw(np.random.default_rng(5))
    batch = Batch.of([sample, sample])
    cells, features = batch.cells.to(kernels), batch.features.to(kernels)
    work = trainer(tmp_path, replace(LONG, steps=40, norm_samples=2), RunOptions(device=kernels, precision="bf16"))
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


def test_a_run_continues_in_another_precision(tmp_path: Path) -> None:
    """A checkpoint written in fp32 has no state of the gradient scaler, which fp16 needs."""
    work = trainer(tmp_path)
    work._store()
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert state["scaler"] == {}
    on = trainer(tmp_path, options=RunOptions(precision="fp16"))
    assert on.scaler.is_enabled()
    assert on.scaler.get_scale() > 1
