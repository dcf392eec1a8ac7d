"""`kidneyseg crossvalidate`: score every case with networks that were not trained on it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.cli.paper_table import print_paper_table
from kidneyseg.cli.terminal import BarProgress
from kidneyseg.cli.training_arguments import add_training, spec_of
from kidneyseg.errors import SettingsError
from kidneyseg.libraries import require_torch

if TYPE_CHECKING:
    from kidneyseg.evaluation.cross_validation import CrossValidation
    from kidneyseg.evaluation.paper_table import Measured
    from kidneyseg.training.context import TrainingSpec

_DESCRIPTION = """\
Split the cases of DATA into fixed folds, by the order of their names. For each fold, train the networks on the other
folds, segment its own cases end to end with them, as they are and with inserted tumours (of shapes that were not used
in training), and score the masks. The report over all cases is in OUTPUT/report, each fold's networks in
OUTPUT/fold-1, fold-2, ... Nothing is chosen by the scores: the networks of the last step are scored. The
original CTs of cases under --lesions-unlabelled are summarised separately.

A command that was stopped continues when it is given again: finished folds, stages and cases are not repeated. If it is
given twice at once, each process takes the next free fold (--threads 1 each, on two cores). A case that cannot be
scored is named in the report with the reason (exit code 1), and tried again by the next command.

--final then trains networks on all cases by the same recipe into OUTPUT/final; the scores are those of the folds.

--paper-table trains nothing: it prints the paper's table (IoU over the pooled points of stage 1 and stage 2) for the
networks of OUTPUT on their unseen cases, those of method paper on the brightest 10, 20 and 30 % of the voxels, and for
each case how much of the kidney these points hold, and the Dice of a perfect labelling of them. It measures the
networks of --beside in the same way, for example OUTPUT of the method default.

--yardstick scores in 5 folds, on 8 versions of each case with tumours of one growth type each (endophytic, mesophytic,
exophytic, multiple, hilar, necrotic, isodense, cystic), 2 with a mass that is not of a kidney, 2 with cysts and 3 that
are slabs of 55 mm. The report then also divides the lesions by growth type, size and contrast to the kidney, and says
how much of the tumours stage 2 was shown, how many of the masses and cysts were called tumour, and what is left of the
kidney Dice in slabs.

--start-from continues the training of an earlier OUTPUT with the same folds: stage 1 is copied, stage 2 is trained for
--steps more; another --seed draws other augmentations. The scored cases and insertions stay the same.

DATA has the layouts that `kidneyseg train` reads."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "crossvalidate",
        help="train and score by cross-validation",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training(parser)
    parser.add_argument("--folds", type=int, metavar="N", help="number of folds (3; 5 with --yardstick)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fold", type=int, metavar="K", help="only this fold, counted from 1")
    which.add_argument("--final", action="store_true", help="train on all cases instead, into OUTPUT/final")
    parser.add_argument(
        "--paper-table", action="store_true", help="print the paper's table for the trained folds instead"
    )
    parser.add_argument(
        "--beside", type=Path, metavar="DIR", help="with --paper-table: OUTPUT of another method with the same folds"
    )
    parser.add_argument(
        "--insertions", type=int, metavar="N", help="versions of each case with tumours (1; 8 with --yardstick)"
    )
    parser.add_argument(
        "--yardstick",
        action="store_true",
        help="tumours of each growth type, masses that are not of a kidney, cysts, and slabs",
    )
    parser.add_argument(
        "--start-from", type=Path, metavar="DIR", help="earlier OUTPUT whose stage 2 is trained further"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train and score the folds, or train on all cases; print the report once all cases are scored."""
    require_torch("Training", "train")

    from kidneyseg.evaluation.cross_validation import cross_validate
    from kidneyseg.evaluation.variants import YARDSTICK, YARDSTICK_FOLDS, Variants
    from kidneyseg.training.runs import train_final

    spec = spec_of(arguments)
    if arguments.beside and not arguments.paper_table:
        raise SettingsError("--beside is a folder to measure with --paper-table; add that, or leave it out")
    if arguments.paper_table:
        if arguments.yardstick:
            raise SettingsError("--yardstick scores masks, not points; leave out --paper-table")
        if arguments.final:
            raise SettingsError("--paper-table measures folds, not the final networks; leave out --final")
        return _paper_table(arguments, spec)
    if arguments.yardstick and not spec.insert_lesions:
        raise SettingsError("--yardstick scores inserted tumours; leave out --no-insertion")
    base = YARDSTICK if arguments.yardstick else Variants()
    with BarProgress(line_every_s=60) as console:
        if arguments.final:
            for path in train_final(spec, progress=console, say=console.say):
                print(path)
            return 0
        result = cross_validate(
            spec,
            folds=arguments.folds or (YARDSTICK_FOLDS if arguments.yardstick else 3),
            fold=arguments.fold,
            versions=base if arguments.insertions is None else replace(base, insertions=arguments.insertions),
            progress=console,
            say=console.say,
        )
    return 0 if result is None else _print(result, one_fold=arguments.fold is not None)


def _paper_table(arguments: argparse.Namespace, spec: TrainingSpec) -> int:
    from kidneyseg.evaluation.paper_table import measure_paper_table

    def measure(console: BarProgress) -> list[Measured]:
        return measure_paper_table(
            spec,
            folds=arguments.folds or 3,
            fold=arguments.fold,
            insertions=1 if arguments.insertions is None else arguments.insertions,
            beside=arguments.beside,
            progress=console,
            say=console.say,
        )

    return print_paper_table(spec, measure)


def _print(result: CrossValidation, *, one_fold: bool) -> int:
    """Print the report, or what it lacks; 1 when cases are missing or failed."""
    from kidneyseg.evaluation.report import as_markdown

    if result.missing:
        rest = "run it for the other folds, too" if one_fold else "run the same command again"
        print(f"not scored yet: {', '.join(result.missing)}; {rest}, then the report is written", file=sys.stderr)
        return 1
    for path in result.report:
        print(path, file=sys.stderr)
    print(as_markdown(result.outcomes), end="")
    if result.failed:
        print(f"not everything of {', '.join(result.failed)} was scored; the report says why", file=sys.stderr)
    return 1 if result.failed else 0
