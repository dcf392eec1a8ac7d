"""`kidneyseg train`: train networks on labelled CTs."""

from __future__ import annotations

import argparse
from pathlib import Path

from kidneyseg.cli.paper_table import print_paper_table
from kidneyseg.cli.terminal import BarProgress
from kidneyseg.cli.training_arguments import add_training, spec_of
from kidneyseg.libraries import require_torch

_STAGES = {"1": "stage1", "coarse": "coarse", "2": "stage2", "all": None}
_DESCRIPTION = """\
Train a method's networks on labelled CTs and write them where `kidneyseg segment --models` reads them.

DATA may hold NAME_ct.nii.gz with NAME_kidney.nii.gz (and NAME_label13.nii.gz, an organ map that lets training change
the contrast phase organ by organ), KiTS' case_XXXXX/imaging.nii.gz with segmentation.nii.gz, or nnU-Net's imagesTr/
and labelsTr/. Labels: 1 kidney, 2 tumour, 3 cyst. Tumours are inserted into cases without tumour labels: with shapes
from --lesions, or procedural ones. A run that was stopped, by Ctrl-C or otherwise, continues when the same command is
given again.

Several GPUs or machines: torchrun --nproc-per-node N -m kidneyseg train --batch N ... (docs/how-to/training.md)"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "train",
        help="train networks on labelled CTs",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training(parser)
    parser.add_argument("--stage", choices=tuple(_STAGES), default="all", help="which network (%(default)s)")
    parser.add_argument(
        "--validate",
        nargs="+",
        default=[],
        metavar="NAME",
        help="validation cases; a .txt file with a name a line; a share of the cases, always the same, as 20%%; or "
        "kits19: the fixed 40 of KiTS19's 210, which --preset paper takes by default",
    )
    parser.add_argument(
        "--keep",
        choices=("best", "last"),
        default="best",
        help="the result: the best network by validation, or the last one (%(default)s)",
    )
    parser.add_argument(
        "--paper-table",
        action="store_true",
        help="train nothing: print the paper's table for the trained networks on the validation cases",
    )
    parser.add_argument("--start-from", type=Path, metavar="DIR", help="start with the networks of that folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train one network or all, and print their files."""
    require_torch("Training", "train")

    from kidneyseg.evaluation.paper_table import measure_held_out
    from kidneyseg.models import Stage
    from kidneyseg.training.runs import train

    name = _STAGES[arguments.stage]
    spec = spec_of(arguments)
    if arguments.paper_table:
        return print_paper_table(spec, lambda console: measure_held_out(spec, progress=console, say=console.say))
    with BarProgress(line_every_s=60) as console:
        for path in train(spec, Stage(name) if name else None, progress=console, say=console.say):
            print(path)
    return 0
