"""The arguments of `train` and `crossvalidate` that make a training specification."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.settings import PRESET_NAMES

if TYPE_CHECKING:
    from kidneyseg.training.context import TrainingSpec


def add_training(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that both commands share."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of labelled CTs")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for networks and checkpoints")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--preset", dest="recipe", choices=PRESET_NAMES, default="default", help="method to train (%(default)s)"
    )
    which.add_argument(
        "--recipe",
        default="default",
        metavar="NAME|FILE",
        help="recipe to train by, instead of that named like the preset: paper_published, or a TOML file",
    )

    recipe = parser.add_argument_group("recipe", "must stay the same when a run is continued")
    recipe.add_argument("--steps", type=int, metavar="N", help="optimiser steps per stage (the recipe's)")
    recipe.add_argument("--batch", type=int, metavar="N", help="samples per step (the recipe's)")
    recipe.add_argument("--seed", type=int, default=0, help="of all random numbers (%(default)s)")
    recipe.add_argument("--lesions", type=Path, metavar="DIR", help="KiTS label maps to take tumour shapes from")
    recipe.add_argument("--lesion-hu", type=Path, metavar="CSV", help="their HU statistics (docs/how-to/training.md)")
    recipe.add_argument(
        "--no-insertion",
        dest="insert_lesions",
        action="store_false",
        help="insert no tumours into cases without tumour labels",
    )
    recipe.add_argument(
        "--lesions-unlabelled",
        nargs="+",
        default=[],
        metavar="NAME",
        help="cases with real lesions that are labelled kidney: there, stage 2 may predict either",
    )
    recipe.add_argument("--phantoms", type=int, default=0, metavar="N", help="synthetic CTs to train on as well")

    execution = parser.add_argument_group("execution", "may change when a run is continued")
    execution.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (%(default)s)")
    execution.add_argument(
        "--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="16 bits are for CUDA (%(default)s)"
    )
    execution.add_argument("--threads", type=int, metavar="N", help="CPU threads of the network (all)")
    execution.add_argument("--workers", type=int, metavar="N", help="threads that draw samples ahead; 0 for none")
    execution.add_argument(
        "--checkpoint-every", type=int, default=100, metavar="N", help="steps between checkpoints (%(default)s)"
    )
    execution.add_argument("--cache", type=Path, metavar="DIR", help="folder of prepared cases (OUTPUT/cache)")


def spec_of(arguments: argparse.Namespace) -> TrainingSpec:
    """The specification that the arguments ask for; the field of each has the argument's name.

    Raises:
        SettingsError: when they contradict each other.
    """
    from kidneyseg.training.context import TrainingSpec

    given = {field.name: getattr(arguments, field.name) for field in fields(TrainingSpec) if field.name in arguments}
    sets = {"lesions_unlabelled": frozenset(arguments.lesions_unlabelled), "validate": tuple(given.get("validate", ()))}
    return TrainingSpec(**given | sets)
