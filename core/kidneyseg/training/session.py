"""What the stages of a training run share: the device, the processes, the lesion shapes, the reporting."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from kidneyseg.errors import InputError
from kidneyseg.progress import Progress
from kidneyseg.segmentation.networks import pick_device
from kidneyseg.synthesis.insertion import LesionLibrary
from kidneyseg.synthesis.lesion_cache import kits_library
from kidneyseg.training.distributed import Ranks, joined
from kidneyseg.training.plan import RunOptions
from kidneyseg.training.specification import TrainingSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """What the stages of a run share."""

    spec: TrainingSpec  #: what is trained
    device: torch.device  #: where the networks are trained
    ranks: Ranks  #: the processes that train together
    lesions: LesionLibrary | None  #: shapes to insert into training cases; None inserts none
    held_out_lesions: LesionLibrary | None  #: shapes to insert into cases that are scored
    progress: Progress  #: receives reports, on the first rank only
    say: Callable[[str], None]  #: receives lines of text, on the first rank only

    def options(self, keep: Literal["best", "last"]) -> RunOptions:
        """How each stage is executed."""
        spec, workers = self.spec, self.spec.workers
        if workers is None:
            workers = _default_workers(self.device.type)
        return RunOptions(self.device, spec.precision, workers, spec.checkpoint_every, keep, self.ranks)


@contextmanager
def open_session(
    spec: TrainingSpec, *, scored: bool, progress: Progress | None = None, say: Callable[[str], None] = log.info
) -> Iterator[Session]:
    """Choose the device, join the other processes, read the lesion shapes.

    Args:
        spec: what is trained.
        scored: whether any case is held out to be scored, which needs shapes of its own.
        progress: receives reports and may cancel.
        say: receives lines for the user.

    Raises:
        InputError: when the shapes lack tumours to train with or, if `scored`, to score with.
        ResourceError: when the device is missing.
    """
    if spec.threads:
        torch.set_num_threads(spec.threads)
    device = _device(spec.device)
    with joined(device) as ranks:
        shapes = _lesion_shapes(spec, scored=scored)
        if ranks.first:
            yield Session(spec, device, ranks, *shapes, progress or Progress(), say)
        else:
            yield Session(spec, device, ranks, *shapes, Progress(), lambda text: None)


def _lesion_shapes(spec: TrainingSpec, *, scored: bool) -> tuple[LesionLibrary | None, LesionLibrary | None]:
    """Shapes to train with and shapes to score with.

    Raises:
        InputError: when there is no tumour among those to train with or, if cases are `scored`, among the others.
    """
    if not spec.insert_lesions:
        return None, None
    if spec.lesions is None:
        # Those to score with are the same for every seed, so that runs compare; an odd seed is never trained with.
        return LesionLibrary.procedural(seed=2 * spec.seed), LesionLibrary.procedural(seed=1)
    halves = kits_library(spec.lesions, spec.lesion_hu, spec.cache_folder).split()
    for half, which, use, needed in zip(halves, ("is not", "is"), ("train", "score"), (True, scored), strict=True):
        if needed and not any(lesion.kind == "tumour" for lesion in half.lesions):
            raise InputError(
                f"{spec.lesions} holds no tumour of a case whose number {which} divisible by 5, as needed to {use} "
                "with; add label maps, or leave out the lesions"
            )
    return halves


def _device(name: str) -> torch.device:
    """The device of that name; under torchrun each process takes the GPU of its local rank."""
    device = pick_device(name)
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def _default_workers(device: str) -> int:
    """On a CPU one thread draws while the others compute; a GPU needs several to keep it busy."""
    cores = len(os.sched_getaffinity(0))
    return min(8, cores - 1) if device == "cuda" else min(1, cores - 1)
