"""What a training run is made of: a frozen specification that validates itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from kidneyseg.errors import SettingsError
from kidneyseg.models import Stage
from kidneyseg.settings import preset
from kidneyseg.training.precision import Precision
from kidneyseg.training.recipe import Recipe, load_recipe


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
    #: names of the validation cases, a share of them ("20%"), or "kits19", the fixed 40 of KiTS19
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
