"""Tiny networks with random weights, for tests of everything around a network."""

from __future__ import annotations

from pathlib import Path

import torch

from kidneyseg.models import Stage, model_name, save_model
from kidneyseg.sparse import SparseUNet

# Input channels and grid by method and stage.
_LAYOUT: dict[str, dict[Stage, tuple[int, float | None]]] = {
    "default": {Stage.STAGE1: (1, 5.0), Stage.STAGE2: (2, 2.0)},
    "paper": {Stage.STAGE1: (3, None), Stage.STAGE2: (3, None)},
}


def tiny_models(folder: Path) -> Path:
    """A models folder for both methods; the networks answer fast and at random."""
    torch.manual_seed(0)
    for method, stages in _LAYOUT.items():
        for stage, (channels, grid_mm) in stages.items():
            network = SparseUNet(channels, 2 if stage is Stage.STAGE1 else 3, [4, 4])
            info = {"made": "at random", **({} if grid_mm is None else {"grid_mm": grid_mm})}
            save_model(network.arrays, folder / f"{model_name(method, stage)}.safetensors", info)
    return folder
