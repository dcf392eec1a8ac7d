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
    """What is trained, from which data, and how.

    Attributes:
        data: folder of labelled CTs; see `datasets.cases.find_cases` for its layouts.
        output: folder of the networks, with a folder of checkpoints and logs for each.
        method: whose networks are trained: "default" or "paper".
        steps: optimiser steps per stage; None takes the recipe's.
        batch: samples per step; None takes the recipe's.
        seed: of all random numbers.
        lesions: folder of KiTS label maps whose lesion shapes are inserted into cases without tumour labels; None
            inserts procedural shapes.
        lesion_hu: CSV of the HU statistics of those cases.
        insert_lesions: whether lesions are inserted at all.
        lesions_unlabelled: names of cases with real lesions that are labelled kidney.
        phantoms: number of synthetic CTs to train on as well.
        recipe_name: bundled recipe or TOML file; None takes the method's own. See `recipe.load_recipe`.
        validate: names of the validation cases, a share of them ("20%"), or "kits19", the fixed 40 of KiTS19.
        keep: the result: the network that validated "best", or the "last" one, which it is without validation.
        start_from: folder of trained networks to start from.
        device: "auto", "cpu" or "cuda".
        precision: of the convolutions; 16 bits are meant for CUDA.
        threads: CPU threads of the network; None takes all.
        workers: threads that draw samples ahead; None chooses by device.
        checkpoint_every: steps between checkpoints.
        cache: folder of prepared cases; None takes output/cache.
    """

    data: Path
    output: Path
    method: str = "default"
    steps: int | None = None
    batch: int | None = None
    seed: int = 0
    lesions: Path | None = None
    lesion_hu: Path | None = None
    insert_lesions: bool = True
    lesions_unlabelled: frozenset[str] = frozenset()
    phantoms: int = 0
    recipe_name: str | None = None
    validate: tuple[str, ...] = ()
    keep: Literal["best", "last"] = "best"
    start_from: Path | None = None
    device: str = "auto"
    precision: Precision = "fp32"
    threads: int | None = None
    workers: int | None = None
    checkpoint_every: int = 100
    cache: Path | None = None

    def __post_init__(self) -> None:
        preset(self.method)  # refuses an unknown one
        if self.recipe.method != self.method:
            raise SettingsError(f"the recipe {self.recipe.name} is for method {self.recipe.method}, not {self.method}")
        if self.lesions and not self.insert_lesions:
            raise SettingsError("lesion shapes are given, but none are to be inserted; leave out one of the two")
        least = {"steps": 1, "batch": 1, "seed": 0, "phantoms": 0, "threads": 1, "workers": 0, "checkpoint_every": 1}
        for name, minimum in least.items():
            value = getattr(self, name)
            if value is not None and value < minimum:
                raise SettingsError(f"{name.replace('_', ' ')} must be at least {minimum}, not {value}")

    @property
    def cache_folder(self) -> Path:
        """Where prepared cases are kept."""
        return self.cache or self.output / "cache"

    @cached_property
    def recipe(self) -> Recipe:
        """How the networks are trained."""
        return load_recipe(self.recipe_name or self.method)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The networks of the method in the order of their training; without COARSE where stage 2 has a start."""
        return tuple(
            stage for stage in map(Stage, self.recipe.stages) if stage != Stage.COARSE or self.start_from is None
        )
