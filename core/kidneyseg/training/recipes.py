"""How each preset's networks are trained: data, network, plan and validation put together."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kidneyseg.datasets.cases import CaseFiles, prepare, whole_grid, whole_grid_of
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Stage
from kidneyseg.phantom.abdomen import SAMPLE_SEED, Phase, make_phantom
from kidneyseg.settings import BandSettings, Settings, Stage2Settings
from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.memory import out_of_memory
from kidneyseg.synthesis.insertion import LesionLibrary
from kidneyseg.training.band_sampler import BandSampler, band_cases, plain_band
from kidneyseg.training.batches import Sample
from kidneyseg.training.detections import Crop, crops, crops_of
from kidneyseg.training.stage1_sampler import Stage1Sampler, plain_stage1
from kidneyseg.training.stage2_sampler import Stage2Sampler, cases_with_tumours, plain_stage2, with_lesions
from kidneyseg.training.trainer import RunOptions, Trainer, TrainingPlan

log = logging.getLogger(__name__)

PLANES = [16, 32, 48, 64, 80]
PAPER_PLANES = [16, 32, 48, 64, 80, 96, 112]
# Edge of the cells that each network is trained on. Stage 2 starts on coarse ones: few of them show a whole region.
GRID_MM: dict[str, dict[Stage, float]] = {
    "default": {Stage.STAGE1: 5.0, Stage.COARSE: 4.0, Stage.STAGE2: 2.0},
    "paper": {},
}
# After so many samples a change of the close-ups makes way for a new one.
_SAMPLES_A_CHANGE = 160
# What tumour weighs on fine cells: weighed alike, small ones are mostly suspected but not the likeliest class.
_TUMOUR_WEIGHT = 2.0
# Optimiser steps, and samples a step, by method and stage.
STEPS: dict[str, dict[Stage, int]] = {
    "default": {Stage.STAGE1: 6000, Stage.COARSE: 14000, Stage.STAGE2: 4000},
    "paper": {Stage.STAGE1: 1300, Stage.STAGE2: 1300},
}
BATCH: dict[str, dict[Stage, int]] = {
    "default": {Stage.STAGE1: 2, Stage.COARSE: 1, Stage.STAGE2: 4},
    "paper": {Stage.STAGE1: 1, Stage.STAGE2: 1},
}
# The paper preset's class weights by stage. With the few hundred steps that a CPU affords, those published call every
# point kidney.
PUBLISHED_WEIGHTS = {1: (1.0, 1000.0), 2: (1.0, 1.0, 100.0)}
FEW_STEPS_WEIGHTS = {1: (1.0, 20.0), 2: (1.0, 1.0, 10.0)}


@dataclass(frozen=True)
class Data:
    """What to learn from.

    Attributes:
        training: labelled CTs to learn from.
        validation: labelled CTs to score on; never learnt from.
        lesions: shapes to insert into those cases of `training` that have no tumour labels; None inserts none.
        held_out_lesions: shapes to insert, once each, into such cases of `validation`.
        cache: where prepared scenes are kept.
        phantoms: how many made-up patients to learn from besides.
        lesions_unlabelled: names of cases whose real lesions are labelled kidney: what is kidney there may be tumour.
        tell: hears how many cases are prepared, of how many.
    """

    training: Sequence[CaseFiles]
    validation: Sequence[CaseFiles]
    lesions: LesionLibrary | None
    held_out_lesions: LesionLibrary | None
    cache: Path
    phantoms: int = 0
    lesions_unlabelled: frozenset[str] = frozenset()
    tell: Callable[[int, int], None] = lambda done, of: None


def trainer(
    stage: Stage,
    settings: Settings,
    data: Data,
    folder: Path,
    *,
    steps: int,
    seed: int = 0,
    batch: int | None = None,
    start: SparseUNet | None = None,
    finder: SparseUNet | None = None,
    published_weights: bool = False,
    options: RunOptions | None = None,
) -> Trainer:
    """The trainer of one of a preset's networks; its checkpoints and log go to `folder`.

    Args:
        batch: samples a step; the recipe's if None.
        start: the network begins with the weights of this one, which must have the same layout, not at random.
        finder: stage 1's network in eval mode: stage 2 of preset `default` learns from what that one finds. Without
            one, it learns from errors that are made up.
        published_weights: the paper preset weighs classes as published, not as fits some hundred steps.
        options: how the run is carried out; see `RunOptions`.

    Raises:
        SettingsError: for a stage that the preset does not have.
    """
    if stage not in STEPS[settings.method]:
        raise SettingsError(f"the method {settings.method} has no network {stage}")
    torch.manual_seed(seed)
    planes, channels = PLANES, 1 if stage is Stage.STAGE1 else 2
    if isinstance(settings.sampling, BandSettings):
        planes, channels = PAPER_PLANES, 3
    network = SparseUNet(channels, 2 if stage is Stage.STAGE1 else 3, planes)
    if start is not None:
        if start.config != network.config:
            raise SettingsError(f"the network to start from is laid out as {start.config}, not {network.config}")
        network.load_state_dict(start.state_dict())
    plan = TrainingPlan(steps, batch=batch or BATCH[settings.method][stage], seed=seed)
    options = options or RunOptions()
    if isinstance(settings.sampling, BandSettings):
        number = 1 if stage is Stage.STAGE1 else 2
        weights = PUBLISHED_WEIGHTS if published_weights else FEW_STEPS_WEIGHTS
        plan = replace(plan, rate=1e-3, schedule="two phases", weight_decay=0.0, class_weights=weights[number])
        return _paper(number, network, settings.sampling, data, folder, replace(plan, dice_weight=0.0), options)
    if stage is Stage.STAGE1:
        return _stage1(network, settings, data, folder, plan, options)
    return _stage2(network, settings, data, folder, plan, options, finder, coarse=stage is Stage.COARSE)


def _stage1(
    network: SparseUNet, settings: Settings, data: Data, folder: Path, plan: TrainingPlan, options: RunOptions
) -> Trainer:
    grid = GRID_MM[settings.method][Stage.STAGE1]
    found = prepare(data.training, partial(whole_grid, cell_mm=grid, cache=data.cache), data.tell)
    scenes = list(found.values())
    scenes += [whole_grid_of(volume, labels, None, grid) for volume, labels in _phantoms(data.phantoms)]
    held_out = prepare(data.validation, partial(whole_grid, cell_mm=grid, cache=data.cache), data.tell).values()
    return Trainer(
        network,
        Stage1Sampler(scenes, settings.sampling, data.lesions),
        replace(plan, class_weights=(1.0, 2.0), freeze_norms_at=0.6),
        folder,
        validator([plain_stage1(scene, settings.sampling) for scene in held_out], ("kidney",)),
        options=options,
        cases=tuple(found),
    )


def _stage2(
    network: SparseUNet,
    settings: Settings,
    data: Data,
    folder: Path,
    plan: TrainingPlan,
    options: RunOptions,
    finder: SparseUNet | None,
    *,
    coarse: bool,
) -> Trainer:
    """Stage 2's network; or the one on `coarse` cells, of the same layout, which is shown whole regions."""
    grids = GRID_MM[settings.method]
    grid = grids[Stage.COARSE if coarse else Stage.STAGE2]
    assert isinstance(settings.stage2, Stage2Settings)
    if coarse:
        # A cell holds that of eight fine ones.
        plan = replace(plan, dice_given=plan.dice_given / 8)
    if finder is not None:
        finder = finder.to(options.device)
    coarse_mm = grids[Stage.STAGE1]
    cut = partial(crops, grid_mm=grid, sampling=settings.sampling, finder=finder, cache=data.cache, coarse_mm=coarse_mm)
    found = prepare(data.training, cut, data.tell)
    scenes = [one for several in found.values() for one in several]
    for volume, labels in _phantoms(data.phantoms):
        scenes += crops_of(volume, labels, None, None, grid, settings.sampling, finder, coarse_mm=coarse_mm)
    return Trainer(
        network,
        Stage2Sampler(
            scenes,
            settings.stage2,
            data.lesions,
            data.lesions_unlabelled,
            plan.seed,
            views=not coarse,
            steps_a_change=math.ceil(_SAMPLES_A_CHANGE / plan.batch),
        ),
        replace(plan, class_weights=(1.0, 1.0, 1.0 if coarse else _TUMOUR_WEIGHT), freeze_norms_at=0.6),
        folder,
        validator(_plain_samples(cut, settings.stage2, data, plan.seed), ("kidney", "tumour")),
        options=options,
        cases=tuple(found),
    )


def _plain_samples(cut: Callable[..., list[Crop]], settings: Stage2Settings, data: Data, seed: int) -> list[Sample]:
    """The validation CTs' kidneys as inference shows them, and those without tumour labels once more with lesions."""
    plain = prepare(data.validation, partial(cut, count=0), data.tell).values()
    shown = [one for several in plain for one in several if one.shows_kidney]
    if data.held_out_lesions is not None:
        rng, own = np.random.default_rng([seed, 2]), cases_with_tumours(shown)
        shown += [with_lesions(one, data.held_out_lesions, rng) for one in shown if one.scene.case not in own]
    samples = [plain_stage2(one, settings) for one in shown]
    return [sample for sample in samples if sample is not None]


def _paper(
    stage: int,
    network: SparseUNet,
    settings: BandSettings,
    data: Data,
    folder: Path,
    plan: TrainingPlan,
    options: RunOptions,
) -> Trainer:
    """The published network on the bands that inference sees."""
    make = partial(band_cases, settings=settings, cache=data.cache, seed=plan.seed)
    found = prepare(data.training, partial(make, lesions=data.lesions), data.tell)
    training = [clouds for variants in found.values() for clouds in variants]
    held_out = prepare(data.validation, partial(make, lesions=data.held_out_lesions), data.tell)
    validation = [clouds for variants in held_out.values() for clouds in variants]
    names = ("kidney",) if stage == 1 else ("kidney", "tumour")
    return Trainer(
        network,
        BandSampler(training, stage),
        plan,
        folder,
        validator([plain_band(clouds, stage) for clouds in validation], names),
        options=options,
        cases=tuple(found),
    )


def _phantoms(count: int) -> Iterator[tuple[Volume, NDArray[np.uint8]]]:
    """Made-up patients of all phases; the first is the sample case."""
    phases: tuple[Phase, ...] = ("portal", "arterial", "noncontrast", "late")
    for i in range(count):
        yield make_phantom(SAMPLE_SEED + i, phase=phases[i % 4], tumours=1 + i % 2)


def validator(samples: Sequence[Sample], names: Sequence[str]) -> Callable[[SparseUNet], dict[str, float]] | None:
    """A function that scores a network by its mean and worst Dice over cells, class by class (class 1 and above).

    Without a sample there is nothing to score.

    Dice of class k counts every label >= k, as KiTS does: the first class is kidney with tumour.
    """

    if not samples:
        return None

    def score(network: SparseUNet) -> dict[str, float]:
        dice: dict[str, list[float]] = {name: [] for name in names}
        for sample in samples:
            found = _labels(network, sample)
            if found is None:
                continue
            for label, name in enumerate(names, start=1):
                truth, guess = sample.labels >= label, found >= label
                if truth.any():
                    dice[name].append(2 * float((truth & guess).sum()) / float(truth.sum() + guess.sum()))
        scores = {f"{name} mean": float(np.mean(values)) for name, values in dice.items() if values}
        return scores | {f"{name} worst": float(np.min(values)) for name, values in dice.items() if values}

    return score


@torch.no_grad()
def _labels(network: SparseUNet, sample: Sample) -> NDArray[np.int64] | None:
    """The likeliest label of each point; None, with a warning, where memory does not suffice."""
    device = next(network.parameters()).device
    try:
        cells, features = (torch.from_numpy(array).to(device) for array in (sample.cells, sample.features))
        labels: NDArray[np.int64] = network(cells, features).argmax(1).cpu().numpy()
        return labels
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    if device.type == "cuda":
        torch.cuda.empty_cache()
    log.warning("%s: out of memory with %d points; it is not scored", sample.case or "a case", len(sample.cells))
    return None
