"""Tiny networks with random weights, for tests of everything around a network."""

from __future__ import annotations

from pathlib import Path

import torch

from kidneyseg.models import model_name, save_model
from kidneyseg.sparse import SparseUNet


def tiny_models(folder: Path) -> Path:
    """A models folder for both presets; the networks answer fast and at random."""
    torch.manual_seed(0)
    for preset, channels in (("default", 1), ("paper", 3)):
        for stage in (1, 2):
            network = SparseUNet(channels, stage + 1, [4, 4])
            save_model(network, folder / f"{model_name(preset, stage)}.safetensors", {"made": "at random"})
    return folder
