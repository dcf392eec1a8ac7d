"""`kidneyseg train`: networks of your own from labelled CTs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.cli.bench import bench, device_of
from kidneyseg.cli.recipe_arguments import add_training, refuse_unknown
from kidneyseg.cli.training import stages, train_stage
from kidneyseg.errors import InputError, SettingsError

if TYPE_CHECKING:
    from kidneyseg.datasets.cases import CaseFiles

_DESCRIPTION = """\
Train a preset's networks on labelled CTs and write them where `kidneyseg segment --models` reads them.

DATA may hold NAME_ct.nii.gz with NAME_kidney.nii.gz (and NAME_label13.nii.gz, which lets training change the contrast
phase organ by organ), KiTS' case_XXXXX/imaging.nii.gz with segmentation.nii.gz, or nnU-Net's imagesTr/ and labelsTr/.
Labels: 1 kidney, 2 tumour, 3 cyst. Into cases without tumour labels tumours are inserted: shapes from --lesions, or
made-up ones. A run that was stopped, by Ctrl-C or otherwise, goes on when the same command is given again.

Several GPUs or machines: torchrun --nproc-per-node N -m kidneyseg train --batch N ... (docs/training.md)"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "train",
        help="train networks of your own",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training(parser)
    parser.add_argument("--stage", choices=("1", "coarse", "2", "all"), default="all", help="(%(default)s)")
    parser.add_argument(
        "--validate",
        nargs="+",
        default=[],
        metavar="NAME",
        help="cases kept out of training; or a share of them, always the same, as 20%%; or kits19: the fixed 40 of "
        "KiTS19's 210, which --preset paper takes by itself",
    )
    parser.add_argument(
        "--keep",
        choices=("best", "last"),
        default="best",
        help="the result: best by validation, or last, which it is without validation (%(default)s)",
    )
    parser.add_argument("--start-from", type=Path, metavar="DIR", help="begin with the networks of that folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train one network or all."""
    from kidneyseg.datasets.cases import find_cases
    from kidneyseg.training.distributed import joined

    cases = find_cases(arguments.data)
    refuse_unknown(arguments.lesions_unlabelled, cases)
    training, validation = _split(cases, arguments)
    device = device_of(arguments)
    wanted = [stage for stage in stages(arguments) if arguments.stage in ("all", stage.removeprefix("stage"))]
    if not wanted:
        raise SettingsError(
            "--stage coarse is for preset default without --start-from: stage 2 begins with its weights"
        )
    with joined(device) as ranks:
        work = bench(arguments, ranks, device, scored=bool(validation))
        for stage in wanted:
            path = train_stage(
                stage,
                arguments.output,
                training,
                validation,
                work,
                keep=arguments.keep if validation else "last",
                start_from=arguments.start_from,
            )
            if ranks.first:
                print(path, flush=True)
    return 0


def _split(cases: list[CaseFiles], arguments: argparse.Namespace) -> tuple[list[CaseFiles], list[CaseFiles]]:
    """Cases to learn from, and cases to score on."""
    from kidneyseg.datasets.folds import held_out_share, is_kits19, kits19_held_out

    names = {case.name for case in cases}
    wanted = set(arguments.validate)
    if not wanted and arguments.preset == "paper" and is_kits19(names):
        wanted = {"kits19"}
        print("these are KiTS19's cases: the fixed 40 of them are scored on (--validate kits19)", file=sys.stderr)
    if "kits19" in wanted:
        if not kits19_held_out() & names:
            raise InputError("--validate kits19 means case_00000 to case_00209, and of those to score on none is there")
        wanted = wanted - {"kits19"} | (kits19_held_out() & names)
    for share in [text for text in wanted if text.endswith("%") and text[:-1].isdigit()]:
        wanted = wanted - {share} | held_out_share(names, int(share[:-1]))
    unknown = sorted(wanted - names)
    if unknown:
        raise InputError(f"--validate names {unknown[0]}, which is not among the cases: {', '.join(sorted(names))}")
    training = [case for case in cases if case.name not in wanted]
    if not training:
        raise InputError("every case is kept for validation; leave some to learn from")
    return training, [case for case in cases if case.name in wanted]
