"""Training runs: from a typed specification to a method's networks on disk, stage by stage or fold by fold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from kidneyseg.datasets.cache import cache_size
from kidneyseg.datasets.cases import CaseFiles, without_labels
from kidneyseg.errors import Cancelled, SettingsError
from kidneyseg.files import make_folder, write_whole
from kidneyseg.interrupts import stop_on_signals
from kidneyseg.models import Model, Stage, load_model, model_name
from kidneyseg.plurals import counted
from kidneyseg.progress import CallbackProgress, Progress
from kidneyseg.settings import preset
from kidneyseg.sparse import SparseUNet
from kidneyseg.training.build import trainer
from kidneyseg.training.context import TrainingContext, TrainingSpec, open_context
from kidneyseg.training.run_folder import lock, require_same_run
from kidneyseg.training.split import content_or_unreadable, find_labelled, split_cases, warn_of_copies, write_split
from kidneyseg.training.stage_recipes import BandRecipe, GridRecipe
from kidneyseg.training.trainer import Trainer

__all__ = ["TrainingSpec", "train", "train_stage"]

log = logging.getLogger(__name__)


def train(
    spec: TrainingSpec,
    stage: Stage | None = None,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] = log.info,
) -> list[Path]:
    """Train one stage of a method, or all, and write the networks to `spec.output`; what was finished is kept.

    A stopped run continues when it is called again with an equal specification.

    Returns:
        The networks' files; none on the other ranks of a distributed training.

    Raises:
        InputError: when no case can be used, or a named one is missing.
        SettingsError: when the method has no such stage, `output` holds a run with another specification, or a network
            to start from was trained on a validation case.
        Cancelled: when `progress` was cancelled, or on Ctrl-C or SIGTERM during the training; a checkpoint was written.
    """
    training, validation = split_cases(spec)
    published = bool(validation) and not spec.validate
    stages = [one for one in spec.stages if stage in (None, one)]
    if not stages:
        raise SettingsError(
            f"there is no stage {stage} to train: coarse belongs to method default without a network to start from, "
            "as stage 2 starts from its weights"
        )
    keep = spec.keep if validation else "last"
    with open_context(spec, scored=bool(validation), progress=progress, say=say) as context:
        if published:
            context.say("these are KiTS19's cases: the fixed 40 of them are for validation (--validate kits19)")
        if unlabelled := without_labels(spec.data):
            names = ", ".join(unlabelled[:3]) + (", ..." if len(unlabelled) > 3 else "")
            context.say(f"{counted(len(unlabelled), 'CT')} without labels left out: {names}")
        warn_of_copies(training, validation)
        paths = [
            train_stage(one, spec.output, training, validation, context, keep=keep, start_from=spec.start_from)
            for one in stages
        ]
        return paths if context.ranks.first else []


def fold_folder(output: Path, number: int) -> Path:
    """Where the networks, masks and scores of a fold, counted from 1, are."""
    return output / f"fold-{number}"


def train_fold(number: int, parts: Sequence[Sequence[CaseFiles]], context: TrainingContext) -> list[Path]:
    """Train the networks of a fold, counted from 1, on the cases of all other parts; returns their files.

    Raises:
        SettingsError: when the networks to start from were trained on a case of the fold; see also `train_stage`.
    """
    training = [case for i, part in enumerate(parts, start=1) for case in part if i != number]
    training.sort(key=lambda case: case.name)
    return _train_networks(fold_folder(context.spec.output, number), training, parts[number - 1], context)


def train_final(
    spec: TrainingSpec, *, progress: Progress | None = None, say: Callable[[str], None] = log.info
) -> list[Path]:
    """Train the networks on all cases, as the folds' are, into `spec.output`/final; see `runs.train`."""
    cases = find_labelled(spec)
    with open_context(spec, scored=False, progress=progress, say=say) as context:
        paths = _train_networks(spec.output / "final", cases, (), context)
        return paths if context.ranks.first else []


def _train_networks(
    folder: Path, training: Sequence[CaseFiles], held_out: Sequence[CaseFiles], context: TrainingContext
) -> list[Path]:
    """Train the networks in `folder`; with a start, copy its stage 1 and continue the training of its stage 2."""
    spec, stages, start, done = context.spec, context.spec.stages, None, []
    if spec.start_from is not None:
        start = spec.start_from / folder.name
        for stage in stages:
            refuse_leak(load_model(model_name(spec.method, stage), start), held_out)
        done, stages = [_copy(start / f"{model_name(spec.method, stages[0])}.safetensors", folder, context)], stages[1:]
    return done + [train_stage(stage, folder, training, (), context, keep="last", start_from=start) for stage in stages]


def _copy(network: Path, folder: Path, context: TrainingContext) -> Path:
    if context.ranks.first:
        make_folder(folder)
        write_whole(folder / network.name, network.read_bytes())
    context.ranks.from_first(None)  # stage 2 reads the network on every rank
    return folder / network.name


def train_stage(
    stage: Stage,
    folder: Path,
    training: Sequence[CaseFiles],
    validation: Sequence[CaseFiles],
    context: TrainingContext,
    *,
    keep: Literal["best", "last"],
    start_from: Path | None = None,
) -> Path:
    """Train a stage, or continue to, and write its network to `folder`; a finished one is left as it is.

    Raises:
        SettingsError: when `folder` holds another run, or a network that this one starts from or whose detections it
            is trained on has been trained on a case of `validation`.
        Cancelled: when it was stopped; a checkpoint was written.
    """
    spec, ranks = context.spec, context.ranks
    name = model_name(spec.method, stage)
    path, run = folder / f"{name}.safetensors", folder / name
    start = load_model(name, start_from) if start_from else _coarse_network(stage, folder, context)
    detector = _detector(stage, folder, context)
    for model in filter(None, (start, detector)):
        refuse_leak(model, validation)
    identity = _identity(stage, keep, training, validation, context) | {
        "start": start.id if start else None,
        "stage 1's network": detector.id if detector else None,
    }
    with lock(run, ranks):
        if ranks.first:
            require_same_run(run, identity)
            write_split(folder, training, validation)
        finished = run / "finished"
        if ranks.from_first(finished.is_file() and path.is_file()):
            context.say(f"{name}: finished before")
            return path
        counts = f"{len(training)} training cases, {len(validation)} validation cases, {identity['steps']} steps"
        context.say(f"{name}: {counts}")
        work = trainer(
            stage,
            preset(spec.method),
            spec.loaded_recipe,
            context.data(training, validation),
            run,
            steps=identity["steps"],
            batch=identity["batch"],
            seed=spec.seed,
            start=SparseUNet.of(start.network) if start else None,
            detector=SparseUNet.of(detector.network) if detector else None,
            options=context.options(keep),
        )
        count, size = cache_size(spec.cache_folder)
        context.say(f"prepared cases: {count} files, {size / 1e6:.0f} MB in {spec.cache_folder}")
        _run(work, context)
        if ranks.first:
            work.save(path, _info(stage, work, start, validation, spec))
            finished.touch()
        ranks.from_first(None)  # the next stage reads the network on every rank
    return path


def refuse_leak(model: Model, held_out: Sequence[CaseFiles]) -> None:
    """Raise SettingsError when a network was trained on a case that is to be scored."""
    if seen := sorted({case.name for case in held_out}.intersection(model.info.get("trained on", ()))):
        raise SettingsError(
            f"{model.id} was trained on {seen[0]}, which is to be scored: train it again without that case"
        )


def _run(work: Trainer, context: TrainingContext) -> None:
    total = work.plan.steps
    if work.step:
        context.say(f"continuing from step {work.step} of {total}")
    try:
        with stop_on_signals() as stop:
            work.run(CallbackProgress(context.progress.show, lambda: stop.is_set() or context.progress.cancelled))
    except Cancelled:
        context.say(f"stopped at step {work.step} of {total}; the same command continues from there")
        raise


def _coarse_network(stage: Stage, folder: Path, context: TrainingContext) -> Model | None:
    """The network on coarse cells whose weights stage 2 starts from; None where there is none."""
    if stage != Stage.STAGE2 or Stage.COARSE not in context.spec.stages:
        return None
    return _trained_before(Stage.COARSE, folder, context, "stage 2 starts from random weights")


def _detector(stage: Stage, folder: Path, context: TrainingContext) -> Model | None:
    """Stage 1's network, if the stage is trained on its detections; None where there is none.

    Raises:
        SettingsError: when it was trained on another grid than the recipe's.
    """
    recipe = context.spec.loaded_recipe
    if stage == Stage.STAGE1:
        return None
    detector = _trained_before(Stage.STAGE1, folder, context, f"{stage} is trained on simulated detections")
    stage1 = recipe.stage(Stage.STAGE1)
    if detector and isinstance(stage1, GridRecipe) and detector.grid_mm != stage1.grid_mm:
        raise SettingsError(
            f"{detector.id} was trained on cells of {detector.grid_mm} mm, but the recipe has {stage1.grid_mm} mm; "
            "train stage 1 again"
        )
    return detector


def _trained_before(stage: Stage, folder: Path, context: TrainingContext, otherwise: str) -> Model | None:
    name = model_name(context.spec.method, stage)
    if not (folder / f"{name}.safetensors").is_file():
        context.say(f"{folder} has no {name}: {otherwise}; train it first")
        return None
    return load_model(name, folder)


def _identity(
    stage: Stage, keep: str, training: Sequence[CaseFiles], validation: Sequence[CaseFiles], context: TrainingContext
) -> dict[str, Any]:
    """All that a stage's result depends on except code, device and threads; files by their content."""
    spec = context.spec
    recipe = asdict(spec.loaded_recipe.stage(stage))
    steps, batch = recipe.pop("steps"), recipe.pop("batch")
    unused = {"clusters", "fill"} | ({"stage2"} if stage == Stage.STAGE1 else set())
    unlabelled = sorted(spec.lesions_unlabelled & {case.name for case in training})
    return {
        "stage": stage,
        "steps": spec.steps or steps,
        "batch": spec.batch or batch,
        "seed": spec.seed,
        "recipe": recipe,
        "phantoms": spec.phantoms,
        "kept network": keep,
        "settings": {name: value for name, value in preset(spec.method).to_dict().items() if name not in unused},
        **context.keys_of_libraries,
        **({"lesions unlabelled": unlabelled} if stage != Stage.STAGE1 else {}),
        "training cases": {case.name: content_or_unreadable(*case.files) for case in training},
        # The last network does not depend on what it is scored on meanwhile.
        "validation cases": {case.name: content_or_unreadable(*case.files) for case in validation if keep == "best"},
    }


def _info(
    stage: Stage, work: Trainer, start: Model | None, validation: Sequence[CaseFiles], spec: TrainingSpec
) -> dict[str, object]:
    """What is saved with a network besides what the trainer knows."""
    info: dict[str, object] = {"phantoms": spec.phantoms, "scored on": [case.name for case in validation]}
    how = spec.loaded_recipe.stage(stage)
    if isinstance(how, GridRecipe):
        info["grid_mm"] = how.grid_mm
    elif isinstance(how, BandRecipe) and stage == Stage.STAGE1:
        info["kept_probability"] = how.kept_probability
    if start:
        info |= {"started from": start.id, "steps before": start.info.get("steps")}
        info["trained on"] = sorted({*work.cases, *start.info.get("trained on", ())})
    return info
