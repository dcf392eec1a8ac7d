"""What is trained, and what its stages share: the device, the processes, the lesion shapes, the reporting."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import InputError, SettingsError
from kidneyseg.models import Stage
from kidneyseg.progress import Progress
from kidneyseg.segmentation.devices import pick_device
from kidneyseg.settings import preset
from kidneyseg.synthesis.kidney_library import kits_kidneys
from kidneyseg.synthesis.lesion_library import LesionLibrary, kits_library
from kidneyseg.training.build import Data
from kidneyseg.training.distributed import Ranks, joined
from kidneyseg.training.plan import RunOptions
from kidneyseg.training.precision import Precision
from kidneyseg.training.recipe import Recipe, load_recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """What is trained, from which data, and how."""

    data: Path  #: folder of labelled CTs; see `datasets.cases.find_cases` for its layouts
    output: Path  #: folder of the networks, with a folder of checkpoints and logs for each
    #: "default", "paper", "paper_published", or a TOML file; it names the method whose networks are trained
    recipe: str | Path = "default"
    steps: int | None = None  #: optimiser steps per stage; None takes the recipe's
    batch: int | None = None  #: samples per step; None takes the recipe's
    seed: int = 0  #: of all random numbers
    #: folder of KiTS label maps whose lesion shapes are inserted into cases without tumour labels; None inserts
    #: procedural shapes
    lesions: Path | None = None
    lesion_hu: Path | None = None  #: CSV of the HU statistics of those cases
    insert_lesions: bool = True  #: whether lesions are inserted at all
    lesions_unlabelled: frozenset[str] = frozenset()  #: names of cases with real lesions that are labelled kidney
    phantoms: int = 0  #: number of synthetic CTs to train on as well
    #: the validation cases: names, a share ("20%"), "kits19", or a .txt file of names; see `datasets.folds.chosen`
    validate: tuple[str, ...] = ()
    #: the result: the network that validated "best", or the "last" one, which it is without validation
    keep: Literal["best", "last"] = "best"
    start_from: Path | None = None  #: folder of trained networks to start from
    device: str = "auto"  #: "auto", "cpu" or "cuda"
    precision: Precision = "fp32"  #: of the convolutions; 16 bits are meant for CUDA
    threads: int | None = None  #: CPU threads of the network; None takes all
    workers: int | None = None  #: threads that draw samples ahead; None chooses by device
    checkpoint_every: int = 100  #: steps between checkpoints
    cache: Path | None = None  #: folder of prepared cases; None takes output/cache

    def __post_init__(self) -> None:
        preset(self.method)  # refuses a recipe that cannot be read, or of an unknown method
        if self.lesions and not self.insert_lesions:
            raise SettingsError("lesion shapes are given, but none are to be inserted; leave out one of the two")
        least = {"steps": 1, "batch": 1, "seed": 0, "phantoms": 0, "threads": 1, "workers": 0, "checkpoint_every": 1}
        for name, minimum in least.items():
            value = getattr(self, name)
            if value is not None and value < minimum:
                raise SettingsError(f"{name.replace('_', ' ')} must be at least {minimum}, not {value}")

    @cached_property
    def loaded_recipe(self) -> Recipe:
        """The recipe, read once."""
        return load_recipe(self.recipe)

    @property
    def method(self) -> str:
        """The method whose networks are trained."""
        return self.loaded_recipe.method

    @property
    def cache_folder(self) -> Path:
        """Where prepared cases are kept."""
        return self.cache or self.output / "cache"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The networks of the recipe in the order of their training; without COARSE where stage 2 has a start."""
        stages = tuple(Stage(name) for name in self.loaded_recipe.stages)
        return stages if self.start_from is None else tuple(stage for stage in stages if stage != Stage.COARSE)


@dataclass(frozen=True)
class TrainingContext:
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
        spec = self.spec
        workers = _default_workers(self.device.type) if spec.workers is None else spec.workers
        return RunOptions(self.device, spec.precision, workers, spec.checkpoint_every, keep, self.ranks)

    @property
    def keys_of_libraries(self) -> dict[str, str | None]:
        """What tells the shapes that are inserted, and the kidneys if any are transplanted, from others."""
        libraries = {"lesions": self.lesions, "held-out lesions": self.held_out_lesions}
        keys = {name: None if library is None else library.key[:16] for name, library in libraries.items()}
        if self.lesions is not None and self.lesions.kidneys is not None:
            keys["kidneys"] = self.lesions.kidneys.key[:16]
        return keys

    def data(self, training: Sequence[CaseFiles], validation: Sequence[CaseFiles]) -> Data:
        """What each stage is trained on."""
        spec = self.spec
        return Data(
            training,
            validation,
            self.lesions,
            self.held_out_lesions,
            spec.cache_folder,
            spec.phantoms,
            spec.lesions_unlabelled,
            self.progress,
        )


@contextmanager
def open_context(
    spec: TrainingSpec, *, scored: bool, progress: Progress | None = None, say: Callable[[str], None] = log.info
) -> Iterator[TrainingContext]:
    """Choose the device, join the other processes, read the lesion shapes.

    Args:
        scored: whether any case is held out to be scored, which needs shapes of its own.

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
            yield TrainingContext(spec, device, ranks, *shapes, progress or Progress(), say)
        else:
            yield TrainingContext(spec, device, ranks, *shapes, Progress(), lambda text: None)


def _lesion_shapes(spec: TrainingSpec, *, scored: bool) -> tuple[LesionLibrary | None, LesionLibrary | None]:
    """Shapes to train with and shapes to score with.

    Raises:
        SettingsError: when the recipe transplants kidneys and there are no label maps to take them from.
        InputError: when there is no tumour among those to train with or, if cases are `scored`, among the others.
    """
    transplants = spec.loaded_recipe.uses("transplant")
    if transplants and spec.lesions is None:
        raise SettingsError(
            f"the recipe {spec.loaded_recipe.name} transplants whole kidneys; name a folder of KiTS label maps "
            "(--lesions), or take another recipe"
        )
    if not spec.insert_lesions:
        return None, None
    if spec.lesions is None:
        # Those to score with are the same for every seed, so that runs compare; an odd seed is never trained with.
        return LesionLibrary.procedural(seed=2 * spec.seed), LesionLibrary.procedural(seed=1)
    halves = kits_library(spec.lesions, spec.lesion_hu, spec.cache_folder).split()
    if transplants:
        kidneys = kits_kidneys(spec.lesions, spec.lesion_hu, spec.cache_folder).split()
        halves = (replace(halves[0], kidneys=kidneys[0]), replace(halves[1], kidneys=kidneys[1]))
    for half, which, use, needed in zip(halves, ("is not", "is"), ("train", "score"), (True, scored), strict=True):
        if needed and not any(lesion.kind == "tumour" for lesion in half.lesions):
            raise InputError(
                f"{spec.lesions} holds no tumour of a case whose number {which} divisible by 5, as needed to {use} "
                "with; add label maps, or leave out the lesions"
            )
    return halves


def _device(name: str) -> torch.device:
    """The device of that name; under torchrun each process takes the GPU of its local rank."""
    device = torch.device(pick_device(name))
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def _default_workers(device: str) -> int:
    """On a CPU one thread draws while the others compute; a GPU needs several to keep it busy."""
    cores = len(os.sched_getaffinity(0))
    return min(8, cores - 1) if device == "cuda" else min(1, cores - 1)
