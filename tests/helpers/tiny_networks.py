"""Tiny networks with random weights, for tests of everything around a network."""

from __future__ import annotations

from pathlib import Path

import torch

from kidneyseg.models import Stage, model_name, save_model
from kidneyseg.sparse import SparseUNet

_CHANNELS: dict[str, dict[Stage, int]] = {
    "default": {Stage.STAGE1: 1, Stage.STAGE2: 2},
    "paper": {Stage.STAGE1: 3, Stage.STAGE2: 3},
}


def tiny_models(folder: Path) -> Path:
    """A models folder for both presets; the networks answer fast and at random."""
    torch.manual_seed(0)
    for preset, stages in _CHANNELS.items():
        for stage, channels in stages.items():
            network = SparseUNet(channels, 2 if stage == Stage.STAGE1 else 3, [4, 4])
            save_model(network, folder / f"{model_name(preset, stage)}.safetensors", {"made": "at random"})
    return folder
