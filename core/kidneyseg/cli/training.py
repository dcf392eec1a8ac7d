"""What `train` and `crossvalidate` share: their arguments, and training a preset's stages in a folder."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kidneyseg.cli.terminal import BarProgress
from kidneyseg.errors import Cancelled, SettingsError
from kidneyseg.progress import CallbackProgress
from kidneyseg.settings import PRESET_NAMES, preset

if TYPE_CHECKING:
    import torch

    from kidneyseg.models import Model
    from kidneyseg.training.dataset import CaseFiles
    from kidneyseg.training.distributed import Ranks
    from kidneyseg.training.lesions import LesionLibrary
    from kidneyseg.training.trainer import RunOptions, Trainer


def add_training(parser: argparse.ArgumentParser) -> None:
    """The arguments that say how networks are trained."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of labelled CTs")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for networks and checkpoints")
    parser.add_argument("--preset", choices=PRESET_NAMES, default="default", help="which networks (%(default)s)")

    recipe = parser.add_argument_group("recipe", "a run goes on only with the same ones")
    recipe.add_argument("--steps", type=_count, metavar="N", help="optimiser steps a stage; the recipe's if not given")
    recipe.add_argument("--batch", type=_count, metavar="N", help="samples a step; the recipe's if not given")
    recipe.add_argument("--seed", type=int, default=0, help="of all chance (%(default)s)")
    recipe.add_argument("--lesions", type=Path, metavar="DIR", help="KiTS label maps to take tumour shapes from")
    recipe.add_argument("--lesion-hu", type=Path, metavar="CSV", help="HU statistics of those cases")
    recipe.add_argument("--no-insertion", action="store_true", help="the labels hold tumours; insert none")
    recipe.add_argument(
        "--lesions-unlabelled",
        nargs="+",
        default=[],
        metavar="NAME",
        help="cases with real lesions that are labelled kidney: what is kidney there may be tumour to stage 2",
    )
    recipe.add_argument("--phantoms", type=int, default=0, metavar="N", help="made-up patients to learn from besides")
    recipe.add_argument(
        "--class-weights",
        choices=("few-steps", "published"),
        default="few-steps",
        help="of --preset paper: 1:20 and 1:1:10, or as published 1:1000 and 1:1:100, which want many thousand steps",
    )

    carrying_out = parser.add_argument_group("carrying out", "may change when a run goes on")
    carrying_out.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (%(default)s)")
    carrying_out.add_argument(
        "--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="16 bits are for CUDA (%(default)s)"
    )
    carrying_out.add_argument(
        "--threads", type=_count, metavar="N", help="CPU threads of the network; all if not given"
    )
    carrying_out.add_argument(
        "--workers", type=_natural, metavar="N", help="threads that draw samples ahead; 0 for none"
    )
    carrying_out.add_argument(
        "--checkpoint-every", type=_count, default=100, metavar="N", help="steps between checkpoints (%(default)s)"
    )
    carrying_out.add_argument("--cache", type=Path, metavar="DIR", help="of prepared cases (OUTPUT/cache)")


@dataclass(frozen=True)
class Bench:
    """Where and with what networks are trained.

    Attributes:
        arguments: what the user asked for.
        device: where the networks learn.
        ranks: the processes that train together.
        lesions: shapes to insert into what is learnt from; None inserts none.
        held_out_lesions: shapes to insert into what is scored on.
        cache: of prepared cases.
    """

    arguments: argparse.Namespace
    device: torch.device
    ranks: Ranks
    lesions: LesionLibrary | None
    held_out_lesions: LesionLibrary | None
    cache: Path

    def options(self, keep: str) -> RunOptions:
        """How the runs are carried out; `keep` is "best" or "last"."""
        from kidneyseg.training.trainer import RunOptions

        workers = self.arguments.workers
        if workers is None:
            workers = _default_workers(self.device.type)
        return RunOptions(
            self.device,
            self.arguments.precision,
            workers,
            self.arguments.checkpoint_every,
            "best" if keep == "best" else "last",
            self.ranks,
        )

    def say(self, text: str) -> None:
        """A line for the user, once however many processes train."""
        if self.ranks.first:
            print(text, file=sys.stderr, flush=True)


def bench(arguments: argparse.Namespace, ranks: Ranks, device: torch.device) -> Bench:
    """Everything that the stages' runs have in common."""
    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    cache = arguments.cache or arguments.output / "cache"
    return Bench(arguments, device, ranks, *lesions_of(arguments, cache), cache)


def device_of(arguments: argparse.Namespace) -> torch.device:
    """The device asked for; under torchrun each process takes the GPU of its local rank."""
    import torch

    from kidneyseg.cascade import pick_device

    device = pick_device(arguments.device)
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def train_stage(
    stage: int,
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
        SettingsError: when `folder` holds a run with another recipe.
        Cancelled: when the user stopped it; a checkpoint was kept.
    """
    from kidneyseg.models import load_model, model_name
    from kidneyseg.training.cache import cache_size
    from kidneyseg.training.checkpoints import claim, claimed
    from kidneyseg.training.recipes import BATCH, STEPS, Data, trainer

    arguments, ranks = bench.arguments, bench.ranks
    name = model_name(arguments.preset, stage)
    path, run = folder / f"{name}.safetensors", folder / name
    steps = arguments.steps or STEPS[arguments.preset][stage]
    batch = arguments.batch or BATCH[arguments.preset][stage]
    start = load_model(name, start_from) if start_from else None
    finder = _finder(stage, folder, bench)
    recipe = _recipe(stage, steps, batch, keep, training, validation, bench) | {
        "start": start.id if start else None,
        "stage 1's network": finder.id if finder else None,
    }
    with claimed(run, ranks.first):
        if ranks.first:
            claim(run, recipe)
        finished = run / "finished"
        if ranks.from_first(finished.is_file() and path.is_file()):
            bench.say(f"{name}: finished before")
            return path
        bench.say(f"{name}: {len(training)} cases to learn from, {len(validation)} to score on, {steps} steps")
        data = Data(
            training,
            validation,
            bench.lesions,
            bench.held_out_lesions,
            bench.cache,
            arguments.phantoms,
            frozenset(arguments.lesions_unlabelled),
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
            if start:
                known |= {"started from": start.id, "steps before": start.info.get("steps")}
            work.save(path, known)
            finished.touch()
        ranks.from_first(None)  # the next stage reads the network on every rank
    return path


def _finder(stage: int, folder: Path, bench: Bench) -> Model | None:
    """Stage 1's network, from whose finds stage 2 of preset `default` learns; None where none was trained there."""
    from kidneyseg.models import load_model, model_name

    name = model_name(bench.arguments.preset, 1)
    if stage == 1 or bench.arguments.preset == "paper":
        return None
    if not (folder / f"{name}.safetensors").is_file():
        bench.say(f"{folder} holds no {name}: stage 2 learns from made-up finds; train stage 1 first for real ones")
        return None
    return load_model(name, folder)


def _run(work: Trainer, bench: Bench) -> None:
    from kidneyseg.training.interrupts import stop_on_signals

    if work.step:
        bench.say(f"going on from step {work.step} of {work.plan.steps}")
    bar = BarProgress() if bench.ranks.first else None
    try:
        with stop_on_signals() as stop:
            work.run(CallbackProgress(bar.show if bar else None, stop.is_set))
    except Cancelled:
        bench.say(f"stopped at step {work.step} of {work.plan.steps}; the same command goes on from there")
        raise
    finally:
        if bar:
            bar.close()


def _recipe(
    stage: int,
    steps: int,
    batch: int,
    keep: str,
    training: Sequence[CaseFiles],
    validation: Sequence[CaseFiles],
    bench: Bench,
) -> dict[str, Any]:
    """All that a stage's result depends on but for code, device and threads; files by their content."""
    from kidneyseg.training.lesion_cache import library_key

    arguments = bench.arguments
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
        "settings": {name: settings[name] for name in ("preset", "sampling", "refine")[: stage + 1]},
        "lesions": bench.lesions and library_key(bench.lesions)[:16],
        "lesions to score on": bench.held_out_lesions and library_key(bench.held_out_lesions)[:16],
        **({"lesions unlabelled": unlabelled} if stage == 2 else {}),
        "cases to learn from": {case.name: _content(case) for case in training},
        "cases to score on": {case.name: _content(case) for case in validation},
    }


def refuse_unknown(lesions_unlabelled: Sequence[str], cases: Sequence[CaseFiles]) -> None:
    """Raises SettingsError when --lesions-unlabelled names what is not among the cases."""
    unknown = sorted(set(lesions_unlabelled) - {case.name for case in cases})
    if unknown:
        raise SettingsError(f"--lesions-unlabelled names {unknown[0]}, which is not among the cases")


def _content(case: CaseFiles) -> str:
    from kidneyseg.training.cache import content_key

    try:
        return content_key(case.files)[:16]
    except OSError:
        return "unreadable"  # named and left out when cases are prepared


def lesions_of(arguments: argparse.Namespace, cache: Path) -> tuple[LesionLibrary | None, LesionLibrary | None]:
    """Shapes to learn from and shapes to score on; nothing where the labels hold tumours themselves."""
    if arguments.no_insertion:
        if arguments.lesions:
            raise SettingsError("--lesions and --no-insertion contradict each other; give one of them")
        return None, None

    from kidneyseg.training.lesion_cache import kits_library
    from kidneyseg.training.lesions import LesionLibrary

    if arguments.lesions is None:
        return LesionLibrary.procedural(seed=2 * arguments.seed), LesionLibrary.procedural(seed=2 * arguments.seed + 1)
    return kits_library(arguments.lesions, arguments.lesion_hu, cache).split()


def _default_workers(device: str) -> int:
    """On a CPU one thread draws while the others compute; a GPU wants to be fed by several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores - 1) if device == "cuda" else min(1, cores - 1)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1, not {text!r}")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"a whole number from 0, not {text!r}")
    return int(text)
