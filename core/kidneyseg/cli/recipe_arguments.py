"""The arguments of `train` and `crossvalidate` that say how networks are trained."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.errors import SettingsError
from kidneyseg.settings import PRESET_NAMES

if TYPE_CHECKING:
    from kidneyseg.datasets.cases import CaseFiles


def add_training(parser: argparse.ArgumentParser) -> None:
    """The arguments that say how networks are trained."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of labelled CTs")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for networks and checkpoints")
    parser.add_argument("--preset", choices=PRESET_NAMES, default="default", help="which networks (%(default)s)")

    recipe = parser.add_argument_group("recipe", "a run goes on only with the same ones")
    recipe.add_argument("--steps", type=_count, metavar="N", help="optimiser steps a stage; the recipe's if not given")
    recipe.add_argument("--batch", type=_count, metavar="N", help="samples a step; the recipe's if not given")
    recipe.add_argument("--seed", type=_natural, default=0, help="of all chance (%(default)s)")
    recipe.add_argument("--lesions", type=Path, metavar="DIR", help="KiTS label maps to take tumour shapes from")
    recipe.add_argument("--lesion-hu", type=Path, metavar="CSV", help="their HU statistics (docs/how-to/training.md)")
    recipe.add_argument(
        "--no-insertion", action="store_true", help="cases without tumour labels have none; insert none"
    )
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


def refuse_unknown(lesions_unlabelled: Sequence[str], cases: Sequence[CaseFiles]) -> None:
    """Raises SettingsError when --lesions-unlabelled names what is not among the cases."""
    unknown = sorted(set(lesions_unlabelled) - {case.name for case in cases})
    if unknown:
        raise SettingsError(f"--lesions-unlabelled names {unknown[0]}, which is not among the cases")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1, not {text!r}")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"a whole number from 0, not {text!r}")
    return int(text)
