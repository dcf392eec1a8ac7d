"""How each preset's networks are trained: data, network, plan and validation put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from kidneyseg.errors import SettingsError
from kidneyseg.models import model_name
from kidneyseg.settings import Settings
from kidneyseg.sparse import SparseUNet
from kidneyseg.training.dataset import CaseFiles, Scene, kidney_scenes, whole_scene
from kidneyseg.training.lesions import LesionLibrary
from kidneyseg.training.samples import (
    Sample,
    Stage1Sampler,
    Stage2Sampler,
    plain_stage1,
    plain_stage2,
    with_lesions,
)
from kidneyseg.training.trainer import Trainer, TrainingPlan

# The cascade's networks see one grey channel; the paper repeats it three times.
PLANES = [16, 32, 48, 64, 80]


def default_trainer(
    stage: int,
    settings: Settings,
    training: Sequence[CaseFiles],
    validation: Sequence[CaseFiles],
    lesions: LesionLibrary | None,
    held_out_lesions: LesionLibrary | None,
    folder: Path,
    *,
    steps: int,
    seed: int = 0,
    extra: Sequence[Scene] = (),
) -> Trainer:
    """The trainer of the `default` preset's stage 1 or 2.

    Args:
        stage: 1 or 2.
        settings: the preset, for its grids, kept share and margin.
        training: labelled CTs to learn from.
        validation: labelled CTs to score on; never learnt from.
        lesions: shapes to insert into `training`.
        held_out_lesions: shapes to insert, once each, into `validation`.
        folder: where checkpoints, log and prepared scenes go.
        steps: optimiser steps.
        seed: of network initialisation and all draws.
        extra: scenes to learn from besides (made, not read).
    """
    if stage not in (1, 2):
        raise SettingsError(f"there is stage 1 and stage 2, no stage {stage}")
    cache = folder.parent / "cache"
    torch.manual_seed(seed)
    network = SparseUNet(1, stage + 1, PLANES, residual=True)
    if stage == 1:
        grid = settings.sampling.grid_mm or 4.0
        scenes = [whole_scene(case, grid, cache) for case in training] + list(extra)
        held_out = [whole_scene(case, grid, cache) for case in validation]
        return Trainer(
            network,
            Stage1Sampler(scenes, settings.sampling, lesions),
            TrainingPlan(steps, batch=1, class_weights=(1.0, 3.0), seed=seed),
            folder / model_name(settings.preset, stage),
            validator([plain_stage1(scene, settings.sampling) for scene in held_out], ("kidney",)),
        )
    grid = settings.refine.grid_mm or 1.5
    scenes = [scene for case in training for scene in kidney_scenes(case, grid, cache)] + list(extra)
    held_out = [scene for case in validation for scene in kidney_scenes(case, grid, cache)]
    samples = [plain_stage2(scene, settings.refine) for scene in held_out]
    if held_out_lesions is not None:
        rng = np.random.default_rng([seed, 2])
        samples += [plain_stage2(with_lesions(scene, held_out_lesions, rng), settings.refine) for scene in held_out]
    return Trainer(
        network,
        Stage2Sampler(scenes, settings.refine, lesions),
        TrainingPlan(steps, batch=1, class_weights=(1.0, 1.0, 2.0), seed=seed),
        folder / model_name(settings.preset, stage),
        validator(samples, ("kidney", "tumour")),
    )


def validator(samples: Sequence[Sample], names: Sequence[str]) -> Callable[[SparseUNet], dict[str, float]]:
    """A function that scores a network by its mean and worst Dice over cells, class by class (class 1 and above).

    Dice of class k counts every label >= k, as KiTS does: the first class is kidney with tumour.
    """

    def score(network: SparseUNet) -> dict[str, float]:
        dice: dict[str, list[float]] = {name: [] for name in names}
        for sample in samples:
            with torch.no_grad():
                found = network(torch.from_numpy(sample.cells), torch.from_numpy(sample.features)).argmax(1).numpy()
            for label, name in enumerate(names, start=1):
                truth, guess = sample.labels >= label, found >= label
                if truth.any():
                    dice[name].append(2 * float((truth & guess).sum()) / float(truth.sum() + guess.sum()))
        scores = {f"{name} mean": float(np.mean(values)) for name, values in dice.items() if values}
        return scores | {f"{name} worst": float(np.min(values)) for name, values in dice.items() if values}

    return score
