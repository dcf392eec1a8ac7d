"""What all stages that `train` and `crossvalidate` train have in common: device, processes, lesions, prepared cases."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.errors import InputError, SettingsError

if TYPE_CHECKING:
    import torch

    from kidneyseg.synthesis.insertion import LesionLibrary
    from kidneyseg.training.distributed import Ranks
    from kidneyseg.training.trainer import RunOptions


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


def bench(arguments: argparse.Namespace, ranks: Ranks, device: torch.device, *, scored: bool) -> Bench:
    """Everything that the stages' runs have in common; `scored` says whether cases are kept out to be scored on."""
    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    cache = arguments.cache or arguments.output / "cache"
    return Bench(arguments, device, ranks, *lesions_of(arguments, cache, scored=scored), cache)


def device_of(arguments: argparse.Namespace) -> torch.device:
    """The device asked for; under torchrun each process takes the GPU of its local rank."""
    import torch

    from kidneyseg.segmentation.networks import pick_device

    device = pick_device(arguments.device)
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def lesions_of(
    arguments: argparse.Namespace, cache: Path, *, scored: bool
) -> tuple[LesionLibrary | None, LesionLibrary | None]:
    """Shapes to learn from and shapes to score on; nothing with --no-insertion.

    Raises:
        InputError: no tumour is among the shapes to learn from or, where cases are `scored`, among those for that.
        SettingsError: the arguments contradict each other.
    """
    if arguments.no_insertion:
        if arguments.lesions:
            raise SettingsError("--lesions and --no-insertion contradict each other; give one of them")
        return None, None

    from kidneyseg.synthesis.insertion import LesionLibrary
    from kidneyseg.synthesis.lesion_cache import kits_library

    if arguments.lesions is None:
        return LesionLibrary.procedural(seed=2 * arguments.seed), LesionLibrary.procedural(seed=2 * arguments.seed + 1)
    halves = kits_library(arguments.lesions, arguments.lesion_hu, cache).split()
    for half, which, needed in zip(halves, ("is not", "is"), (True, scored), strict=True):
        if needed and not any(lesion.kind == "tumour" for lesion in half.lesions):
            raise InputError(
                f"{arguments.lesions} holds no tumour of a case whose number {which} divisible by 5: such shapes "
                f"serve to {'score' if which == 'is' else 'learn from'}; add label maps, or leave --lesions out"
            )
    return halves


def _default_workers(device: str) -> int:
    """On a CPU one thread draws while the others compute; a GPU wants to be fed by several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores - 1) if device == "cuda" else min(1, cores - 1)
