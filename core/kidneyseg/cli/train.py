"""`kidneyseg train`: networks of your own from labelled CTs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.cli.terminal import BarProgress
from kidneyseg.errors import InputError, SettingsError
from kidneyseg.settings import PRESET_NAMES, preset

if TYPE_CHECKING:
    from kidneyseg.training.dataset import CaseFiles
    from kidneyseg.training.lesions import LesionLibrary

_DESCRIPTION = """\
Train a preset's networks on labelled CTs and write them where `kidneyseg segment --models` reads them.

DATA may hold NAME_ct.nii.gz with NAME_kidney.nii.gz (and NAME_label13.nii.gz, which lets training change the contrast
phase organ by organ), KiTS' case_XXXXX/imaging.nii.gz with segmentation.nii.gz, or nnU-Net's imagesTr/ and labelsTr/.
Labels: 1 kidney, 2 tumour, 3 cyst. Where there are no tumour labels, tumours are inserted: shapes from --lesions, or
made-up ones. A run that was stopped goes on where it was when it is started again with the same arguments."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "train",
        help="train networks of your own",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of labelled CTs")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for networks and checkpoints")
    parser.add_argument("--preset", choices=PRESET_NAMES, default="default", help="which networks (%(default)s)")
    parser.add_argument("--stage", choices=("1", "2", "all"), default="all", help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=1300, metavar="N", help="optimiser steps a stage (%(default)s)")
    parser.add_argument("--validate", nargs="+", default=[], metavar="NAME", help="cases kept out of training")
    parser.add_argument("--lesions", type=Path, metavar="DIR", help="KiTS label maps to take tumour shapes from")
    parser.add_argument("--lesion-hu", type=Path, metavar="CSV", help="HU statistics of those cases")
    parser.add_argument("--no-insertion", action="store_true", help="the labels hold tumours; insert none")
    parser.add_argument("--phantoms", type=int, default=0, metavar="N", help="made-up patients to learn from besides")
    parser.add_argument("--start-from", type=Path, metavar="DIR", help="begin with the networks of that folder")
    parser.add_argument("--seed", type=int, default=0, help="of all chance (%(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads; all if not given")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train one stage or both."""
    if arguments.steps < 1:
        raise SettingsError(f"--steps must be at least 1, not {arguments.steps}")

    import torch

    from kidneyseg.models import load_model, model_name
    from kidneyseg.training.dataset import find_cases
    from kidneyseg.training.recipes import Data, trainer

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    settings = preset(arguments.preset)
    training, validation = _split(find_cases(arguments.data), arguments.validate)
    lesions, held_out = _lesions(arguments)
    data = Data(training, validation, lesions, held_out, arguments.output / "cache", arguments.phantoms)
    for stage in (1, 2) if arguments.stage == "all" else (int(arguments.stage),):
        name = model_name(arguments.preset, stage)
        print(f"{name}: {len(training)} cases to learn from, {len(validation)} to score on", file=sys.stderr)
        start = load_model(name, arguments.start_from).network if arguments.start_from else None
        folder = arguments.output / name
        work = trainer(stage, settings, data, folder, steps=arguments.steps, seed=arguments.seed, start=start)
        bar = BarProgress()
        try:
            work.run(bar)
        finally:
            bar.close()
        path = arguments.output / f"{name}.safetensors"
        info: dict[str, object] = {"trained on": [c.name for c in training], "phantoms": arguments.phantoms}
        work.save(path, info | {"scored on": [c.name for c in validation]})
        print(path)
    return 0


def _split(cases: list[CaseFiles], validate: list[str]) -> tuple[list[CaseFiles], list[CaseFiles]]:
    names = {case.name for case in cases}
    unknown = [name for name in validate if name not in names]
    if unknown:
        raise InputError(f"--validate names {unknown[0]}, which is not among the cases: {', '.join(sorted(names))}")
    training = [case for case in cases if case.name not in validate]
    if not training:
        raise InputError("every case is kept for validation; leave some to learn from")
    return training, [case for case in cases if case.name in validate]


def _lesions(arguments: argparse.Namespace) -> tuple[LesionLibrary | None, LesionLibrary | None]:
    """Shapes to learn from and shapes to score on; nothing where the labels hold tumours themselves."""
    if arguments.no_insertion:
        return None, None

    from kidneyseg.training.lesions import LesionLibrary

    if arguments.lesions is None:
        return LesionLibrary.procedural(seed=2 * arguments.seed), LesionLibrary.procedural(seed=2 * arguments.seed + 1)
    cached = arguments.output / "cache" / "lesions.npz"
    if cached.is_file():
        library = LesionLibrary.load(cached)
    else:
        library = LesionLibrary.from_kits(arguments.lesions, arguments.lesion_hu)
        cached.parent.mkdir(parents=True, exist_ok=True)
        library.save(cached)
    return library.split()
