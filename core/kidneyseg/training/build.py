"""Data, network, sampler, plan and validation put together as a recipe says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from kidneyseg.arrays import Labels
from kidneyseg.datasets.cases import CaseFiles, prepare, whole_grid, whole_grid_of
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.labels import KIDNEY, LABEL_NAMES
from kidneyseg.imaging.volume import ContrastPhase, Volume
from kidneyseg.models import Stage
from kidneyseg.phantom.abdomen import make_phantom
from kidneyseg.phantom.sample import SAMPLE_SEED
from kidneyseg.progress import Progress
from kidneyseg.settings import BandSettings, Settings
from kidneyseg.sparse import SparseUNet
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training.band_clouds import band_case, plain_cloud
from kidneyseg.training.band_sampler import BandSampler, around_kidneys, plain_bands, shown_to_stage2
from kidneyseg.training.batches import Sample, Sampler
from kidneyseg.training.detections import Crop, Detector, crops, crops_of
from kidneyseg.training.plan import RunOptions
from kidneyseg.training.recipe import Recipe
from kidneyseg.training.stage1_sampler import Stage1Sampler, plain_stage1
from kidneyseg.training.stage2_sampler import Stage2Sampler, cases_with_tumours, plain_stage2, with_lesions
from kidneyseg.training.stage_recipes import BandRecipe, DetectionRecipe, WholeCTRecipe
from kidneyseg.training.trainer import Trainer
from kidneyseg.training.validation import iou_validator, unless_out_of_memory, validator

_CLASSES = ("tissue", *LABEL_NAMES[KIDNEY:])
# Most points of a band on which stage 1 of method `paper` is validated.
_VALIDATED_POINTS = 150_000


@dataclass(frozen=True)
class Data:
    """What to train on."""

    training: Sequence[CaseFiles]  #: labelled CTs to train on
    validation: Sequence[CaseFiles]  #: labelled CTs to score on, kept out of training
    #: shapes to insert into those cases of `training` that have no tumour labels; None inserts none
    lesions: LesionLibrary | None
    held_out_lesions: LesionLibrary | None  #: shapes to insert, once each, into such cases of `validation`
    cache: Path  #: folder for prepared cases
    phantoms: int = 0  #: number of synthetic CTs to train on besides
    #: names of cases whose real lesions are labelled kidney: what is kidney there may be tumour
    lesions_unlabelled: frozenset[str] = frozenset()
    progress: Progress | None = None  #: of the preparation


# A stage's sampler, its validation samples, and the names of the cases that it draws from.
_Drawn = tuple[Sampler, list[Sample], tuple[str, ...]]


def trainer(
    stage: Stage,
    settings: Settings,
    recipe: Recipe,
    data: Data,
    folder: Path,
    *,
    steps: int | None = None,
    batch: int | None = None,
    seed: int = 0,
    start: SparseUNet | None = None,
    detector: SparseUNet | None = None,
    options: RunOptions | None = None,
) -> Trainer:
    """The trainer of one of a method's networks; its checkpoints and log go to `folder`.

    Args:
        settings: of inference, which training samples follow.
        recipe: from `load_recipe`.
        steps: optimiser steps; the recipe's if None.
        batch: samples per step; the recipe's if None.
        start: training starts from the weights of this network, not from random ones. It must have the same layout, but
            may lack classes; see `with_classes`.
        detector: stage 1's network in eval mode, on whose detections stage 2 trains. Without it, stage 2 trains on
            labels with simulated errors.

    Raises:
        SettingsError: for a recipe of another method, or a stage that it does not have.
    """
    if recipe.method != settings.method:
        raise SettingsError(f"the recipe {recipe.name} is for the method {recipe.method}, not {settings.method}")
    how = recipe.stage(stage)
    how = replace(how, steps=steps or how.steps, batch=batch or how.batch)
    options = options or RunOptions()
    torch.manual_seed(seed)
    network = SparseUNet(how.channels, len(how.class_weights), list(how.planes))
    if start is not None:
        weights = with_classes(start, len(how.class_weights))
        if weights is None or start.config | {"classes": 0} != network.config | {"classes": 0}:
            raise SettingsError(f"the network to start from has the layout {start.config}, not {network.config}")
        network.load_state_dict(weights)
    if detector is not None:
        detector = detector.to(options.device)
    classes = _CLASSES[: len(how.class_weights)]
    if isinstance(how, BandRecipe):
        sampler, held_out, cases = _bands(how, detector, settings, data, seed)
        score = iou_validator(held_out, classes)
    else:
        if isinstance(how, DetectionRecipe):
            whole = recipe.stage(Stage.STAGE1)
            assert isinstance(whole, WholeCTRecipe)
            found = Detector(detector, whole.grid_mm, settings.sampling.kept_percent)
            sampler, held_out, cases = _detections(how, found, settings, data, seed)
        else:
            assert isinstance(how, WholeCTRecipe)
            sampler, held_out, cases = _whole_cts(how, settings, data)
        score = validator(held_out, classes[1:])
    return Trainer(network, sampler, how, folder, score, seed=seed, options=options, cases=cases)


def with_classes(start: SparseUNet, classes: int) -> dict[str, torch.Tensor] | None:
    """The weights of a network, for one like it that tells `classes` apart; None where it tells more apart.

    A class that it lacks begins with the classifier's weights of class 1, out of which it is learnt: cysts were kidney.
    """
    weights, missing = start.state_dict(), classes - start.config["classes"]
    if missing < 0:
        return None
    for name in ("linear.weight", "linear.bias") if missing else ():
        weights[name] = torch.cat([weights[name], *[weights[name][KIDNEY : KIDNEY + 1]] * missing])
    return weights


def _whole_cts(how: WholeCTRecipe, settings: Settings, data: Data) -> _Drawn:
    kept_percent = settings.sampling.kept_percent
    make = partial(whole_grid, cell_mm=how.grid_mm, cache=data.cache)
    prepared = prepare(data.training, make, data.progress)
    phantoms = [whole_grid_of(volume, labels, None, how.grid_mm) for volume, labels in _phantoms(data.phantoms)]
    held_out = prepare(data.validation, make, data.progress).values()
    return (
        Stage1Sampler([*prepared.values(), *phantoms], how, kept_percent, data.lesions),
        [plain_stage1(grid, kept_percent) for grid in held_out],
        tuple(prepared),
    )


def _detections(how: DetectionRecipe, detector: Detector, settings: Settings, data: Data, seed: int) -> _Drawn:
    if settings.stage2 is None:
        raise SettingsError(f"the method {settings.method} has no stage 2 around detections; take its own recipe")
    margin_mm = settings.stage2.margin_mm
    make = partial(crops, recipe=how, detector=detector, cache=data.cache)
    prepared = prepare(data.training, make, data.progress)
    drawn = [crop for several in prepared.values() for crop in several]
    for volume, labels in _phantoms(data.phantoms):
        drawn += crops_of(volume, labels, None, how, detector, count=how.detection_cts.count)
    return (
        Stage2Sampler(drawn, how, margin_mm, data.lesions, data.lesions_unlabelled, seed),
        _plain_samples(partial(make, count=0), margin_mm, data, seed, len(how.class_weights)),
        tuple(prepared),
    )


def _plain_samples(
    make: Callable[[CaseFiles], list[Crop]], margin_mm: float, data: Data, seed: int, classes: int
) -> list[Sample]:
    """The validation CTs' kidneys as inference shows them, and those without tumour labels once more with lesions."""
    held_out = prepare(data.validation, make, data.progress).values()
    shown = [crop for several in held_out for crop in several if crop.shows_kidney]
    if data.held_out_lesions is not None:
        rng, own = np.random.default_rng([seed, 2]), cases_with_tumours(shown)
        shown += [with_lesions(crop, data.held_out_lesions, rng) for crop in shown if crop.grid.case not in own]
    samples = [plain_stage2(crop, margin_mm, classes) for crop in shown]
    return [sample for sample in samples if sample is not None]


def _bands(how: BandRecipe, detector: SparseUNet | None, settings: Settings, data: Data, seed: int) -> _Drawn:
    bands, stage2 = settings.sampling, len(how.class_weights) > 2
    if not isinstance(bands, BandSettings):
        raise SettingsError(f"the method {settings.method} has no intensity bands; take its own recipe")
    make = partial(band_case, recipe=how, settings=bands, cache=data.cache, seed=seed, lesions=data.lesions)
    prepared = prepare(data.training, make, data.progress)
    plain = partial(plain_cloud, settings=bands, cache=data.cache, seed=seed, lesions=data.held_out_lesions)
    held_out: list[Sample] = []
    for cloud in prepare(data.validation, plain, data.progress).values():
        for sample in plain_bands(cloud, bands, how.channels, len(how.class_weights)):
            if not stage2:
                held_out.append(around_kidneys(sample, _VALIDATED_POINTS))
            elif detector is not None:
                kept = unless_out_of_memory(partial(shown_to_stage2, sample, detector, how.kept_probability), sample)
                held_out += [] if kept is None else [kept]
    return (
        BandSampler(list(prepared.values()), how, bands, detector if stage2 else None, data.lesions_unlabelled),
        [sample for sample in held_out if len(sample.cells)],
        tuple(prepared),
    )


def _phantoms(count: int) -> Iterator[tuple[Volume, Labels]]:
    """Synthetic CTs of all phases that the phantom has; the first is the sample case."""
    phases: tuple[ContrastPhase, ...] = ("portal", "arterial", "noncontrast", "excretory")
    for i in range(count):
        yield make_phantom(SAMPLE_SEED + i, phase=phases[i % 4], tumours=1 + i % 2)
