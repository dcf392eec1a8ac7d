"""Training a preset's stages in a folder, as `train` and `crossvalidate` do."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kidneyseg.cli.bench import Bench
from kidneyseg.cli.terminal import BarProgress
from kidneyseg.errors import Cancelled, SettingsError
from kidneyseg.progress import CallbackProgress
from kidneyseg.settings import preset

if TYPE_CHECKING:
    from kidneyseg.datasets.cases import CaseFiles
    from kidneyseg.models import Model, Stage
    from kidneyseg.training.trainer import Trainer

# How often a run tells where it is, where there is no terminal to show a bar.
_LINE_EVERY_S = 60.0


def train_stage(
    stage: Stage,
    folder: Path,
    training: Sequence[CaseFiles],
    validation: Sequence[CaseFiles],
    bench: Bench,
    *,
    keep: str,
    start_from: Path | None = None,
) -> Path:
    """Train a stage, or go on with it, and write its network to `folder`; nothing is done where that was finished.

    Raises:
        SettingsError: when `folder` holds a run with another recipe, or the network that this one begins with or whose
            finds it is shown has learnt from a case of `validation`.
        Cancelled: when the user stopped it; a checkpoint was kept.
    """
    from kidneyseg.datasets.cache import cache_size
    from kidneyseg.models import load_model, model_name
    from kidneyseg.training.checkpoints import claim, claimed
    from kidneyseg.training.recipes import BATCH, GRID_MM, STEPS, Data, trainer

    arguments, ranks = bench.arguments, bench.ranks
    name = model_name(arguments.preset, stage)
    path, run = folder / f"{name}.safetensors", folder / name
    steps = arguments.steps or STEPS[arguments.preset][stage]
    batch = arguments.batch or BATCH[arguments.preset][stage]
    start = load_model(name, start_from) if start_from else _coarse(stage, folder, bench)
    finder = _finder(stage, folder, bench)
    for model in filter(None, (start, finder)):
        refuse_learnt(model, validation)
    recipe = _recipe(stage, steps, batch, keep, training, validation, bench) | {
        "start": start.id if start else None,
        "stage 1's network": finder.id if finder else None,
    }
    with claimed(run, ranks):
        if ranks.first:
            claim(run, recipe)
        finished = run / "finished"
        if ranks.from_first(finished.is_file() and path.is_file()):
            bench.say(f"{name}: finished before")
            return path
        bench.say(f"{name}: {len(training)} cases to learn from, {len(validation)} to score on, {steps} steps")
        with _bar(bench) as show:
            data = Data(
                training,
                validation,
                bench.lesions,
                bench.held_out_lesions,
                bench.cache,
                arguments.phantoms,
                frozenset(arguments.lesions_unlabelled),
                lambda done, of: show(f"prepared {done} of {of} cases", done / of),
            )
            work = trainer(
                stage,
                preset(arguments.preset),
                data,
                run,
                steps=steps,
                batch=batch,
                seed=arguments.seed,
                start=start.network if start else None,
                finder=finder.network if finder else None,
                published_weights=arguments.class_weights == "published",
                options=bench.options(keep),
            )
        count, size = cache_size(bench.cache)
        bench.say(f"prepared cases: {count} files, {size / 1e6:.0f} MB in {bench.cache}")
        _run(work, bench)
        if ranks.first:
            known: dict[str, object] = {"phantoms": arguments.phantoms, "scored on": [c.name for c in validation]}
            if stage in GRID_MM[arguments.preset]:
                known["grid_mm"] = GRID_MM[arguments.preset][stage]
            if start:
                known |= {"started from": start.id, "steps before": start.info.get("steps")}
                known["trained on"] = sorted({*work.cases, *start.info.get("trained on", ())})
            work.save(path, known)
            finished.touch()
        ranks.from_first(None)  # the next stage reads the network on every rank
    return path


def refuse_learnt(model: Model, held_out: Sequence[CaseFiles]) -> None:
    """Raise SettingsError when a network has learnt from a case that is scored on."""
    if seen := sorted({case.name for case in held_out}.intersection(model.info.get("trained on", ()))):
        raise SettingsError(
            f"{model.id} has learnt from {seen[0]}, which is to be scored on: train it anew without that case"
        )


def stages(arguments: Namespace) -> tuple[Stage, ...]:
    """The networks that are asked for, in the order in which they are trained."""
    from kidneyseg.models import Stage
    from kidneyseg.training.recipes import STEPS

    starts = arguments.start_from is not None
    return tuple(stage for stage in STEPS[arguments.preset] if not (starts and stage is Stage.COARSE))


def _coarse(stage: Stage, folder: Path, bench: Bench) -> Model | None:
    """The network on coarse cells, with whose weights stage 2 begins; None where none was trained there."""
    from kidneyseg.models import Stage, load_model, model_name
    from kidneyseg.training.recipes import STEPS

    if stage is not Stage.STAGE2 or Stage.COARSE not in STEPS[bench.arguments.preset]:
        return None
    name = model_name(bench.arguments.preset, Stage.COARSE)
    if not (folder / f"{name}.safetensors").is_file():
        bench.say(f"{folder} holds no {name}: stage 2 begins with random weights; train --stage coarse first")
        return None
    return load_model(name, folder)


def _finder(stage: Stage, folder: Path, bench: Bench) -> Model | None:
    """Stage 1's network, from whose finds stage 2 of preset `default` learns; None where none was trained there."""
    from kidneyseg.models import Stage, load_model, model_name
    from kidneyseg.training.recipes import STEPS

    name = model_name(bench.arguments.preset, Stage.STAGE1)
    if stage is Stage.STAGE1 or Stage.COARSE not in STEPS[bench.arguments.preset]:
        return None
    if not (folder / f"{name}.safetensors").is_file():
        bench.say(f"{folder} holds no {name}: stage 2 learns from made-up finds; train stage 1 first for real ones")
        return None
    return load_model(name, folder)


def _run(work: Trainer, bench: Bench) -> None:
    from kidneyseg.training.interrupts import stop_on_signals

    if work.step:
        bench.say(f"going on from step {work.step} of {work.plan.steps}")
    try:
        with _bar(bench) as show, stop_on_signals() as stop:
            work.run(CallbackProgress(show, stop.is_set))
    except Cancelled:
        bench.say(f"stopped at step {work.step} of {work.plan.steps}; the same command goes on from there")
        raise


@contextmanager
def _bar(bench: Bench) -> Iterator[Callable[[str, float], None]]:
    """What shows a stage and its done share, on the first rank."""
    bar = BarProgress(_LINE_EVERY_S) if bench.ranks.first else None
    try:
        yield bar.show if bar else lambda stage, fraction: None
    finally:
        if bar:
            bar.close()


def _recipe(
    stage: Stage,
    steps: int,
    batch: int,
    keep: str,
    training: Sequence[CaseFiles],
    validation: Sequence[CaseFiles],
    bench: Bench,
) -> dict[str, Any]:
    """All that a stage's result depends on but for code, device and threads; files by their content."""
    from kidneyseg.models import Stage
    from kidneyseg.synthesis.lesion_cache import library_key

    arguments = bench.arguments
    read = ("method", "sampling") if stage is Stage.STAGE1 else ("method", "sampling", "stage2")
    settings = preset(arguments.preset).to_dict()
    unlabelled = sorted(set(arguments.lesions_unlabelled) & {case.name for case in training})
    return {
        "stage": stage,
        "steps": steps,
        "batch": batch,
        "seed": arguments.seed,
        "class weights": arguments.class_weights,
        "phantoms": arguments.phantoms,
        "choice of the result": keep,
        "settings": {name: settings[name] for name in read if name in settings},
        "lesions": bench.lesions and library_key(bench.lesions)[:16],
        "lesions to score on": bench.held_out_lesions and library_key(bench.held_out_lesions)[:16],
        **({"lesions unlabelled": unlabelled} if stage is not Stage.STAGE1 else {}),
        "cases to learn from": {case.name: _content(case) for case in training},
        "cases to score on": {case.name: _content(case) for case in validation},
    }


def _content(case: CaseFiles) -> str:
    from kidneyseg.datasets.cache import content_key

    try:
        return content_key(case.files)[:16]
    except OSError:
        return "unreadable"  # named and left out when cases are prepared
