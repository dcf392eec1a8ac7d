"""`kidneyseg crossvalidate`: every case scored by networks that never saw it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kidneyseg.cli.bench import Bench, bench, device_of
from kidneyseg.cli.recipe_arguments import add_training, refuse_unknown
from kidneyseg.cli.training import refuse_learnt, stages, train_stage
from kidneyseg.errors import SettingsError
from kidneyseg.settings import preset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kidneyseg.datasets.cases import CaseFiles
    from kidneyseg.evaluation import Outcome, Variants

# Of what is inserted into the CTs to score on: the same whatever seed networks were trained with, so that they compare.
_SCORING_SEED = 0
_DESCRIPTION = """\
Split the cases of DATA into fixed folds (dealt out in the order of their names); for each fold train the networks on
the other folds, segment its own cases end to end with them, as they are and with tumours inserted (of shapes that
training never saw), and score the masks. The report over all cases lies in OUTPUT/report, each fold's networks in
OUTPUT/fold-1, fold-2, ... No choice is made by the scores: the last step's networks are scored. Cases under
--lesions-unlabelled are, as they are, summarised apart.

A command that was stopped goes on when it is given again: finished folds, stages and cases are not repeated. Given
twice at once, each takes the next fold that nobody works on (--threads 1 each, on two cores). A case that cannot be
scored is named in the report with the reason (exit code 1), and tried again with the next command.

--final then trains networks on all cases by the same recipe into OUTPUT/final: the figures are the folds', not theirs.

--start-from goes on from an earlier OUTPUT of the same folds: stage 1 is taken as it is, stage 2 learns on from what it
knew, --steps more; with another --seed from other changes of the same CTs. What is scored on stays the same.

DATA is laid out as for `kidneyseg train`."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "crossvalidate",
        help="train and score by cross-validation",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training(parser)
    parser.add_argument("--folds", type=int, default=3, metavar="N", help="(%(default)s)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fold", type=int, metavar="K", help="only this one, counted from 1")
    which.add_argument("--final", action="store_true", help="train on all cases instead, into OUTPUT/final")
    parser.add_argument("--insertions", type=int, default=1, metavar="N", help="versions with tumours (%(default)s)")
    parser.add_argument("--start-from", type=Path, metavar="DIR", help="an earlier OUTPUT whose stage 2 learns on")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train and score the folds, or train on all cases; report once all is there."""
    from kidneyseg.datasets.cases import find_cases
    from kidneyseg.datasets.folds import folds
    from kidneyseg.training.distributed import joined

    cases = find_cases(arguments.data)
    parts = folds(cases, arguments.folds)
    refuse_unknown(arguments.lesions_unlabelled, cases)
    if arguments.fold is not None and not 1 <= arguments.fold <= len(parts):
        raise SettingsError(f"--fold must be 1 to {len(parts)}, not {arguments.fold}")
    device = device_of(arguments)
    with joined(device) as ranks:
        work = bench(arguments, ranks, device, scored=not arguments.final)
        if arguments.final:
            for path in _train(arguments.output / "final", cases, (), work):
                if ranks.first:
                    print(path, flush=True)
            return 0
        for number in [arguments.fold] if arguments.fold else range(1, len(parts) + 1):
            _fold(number, parts, work, wait=arguments.fold is not None)
        return _report(parts, work) if ranks.first else 0


def _fold(number: int, parts: Sequence[Sequence[CaseFiles]], work: Bench, *, wait: bool) -> None:
    """Train a fold's networks and score its cases; one at which another process works is left to that."""
    from kidneyseg.training.checkpoints import BusyError, claimed

    folder = work.arguments.output / f"fold-{number}"
    training = [case for i, part in enumerate(parts, start=1) for case in part if i != number]
    work.say(f"fold {number} of {len(parts)}")
    try:
        with claimed(folder, work.ranks):
            _train(folder, sorted(training, key=lambda case: case.name), parts[number - 1], work)
            if work.ranks.first:
                _score(parts[number - 1], folder, work)
    except BusyError as error:
        if wait:
            raise
        work.say(f"{error} (fold {number} is left to it)")


def _train(folder: Path, training: Sequence[CaseFiles], held_out: Sequence[CaseFiles], work: Bench) -> list[Path]:
    """Train the networks in `folder`, or stage 2's on from an earlier run's in its folder of that name."""
    names, begin, done = stages(work.arguments), None, []
    if work.arguments.start_from is not None:
        begin = work.arguments.start_from / folder.name
        done, names = [_taken_over(begin, folder, held_out, work)], names[1:]
    return done + [train_stage(stage, folder, training, (), work, keep="last", start_from=begin) for stage in names]


def _taken_over(begin: Path, folder: Path, held_out: Sequence[CaseFiles], work: Bench) -> Path:
    """Copy stage 1's network from `begin` to `folder`; the networks there must not have learnt from `held_out`."""
    from kidneyseg.files import make_folder, write_whole
    from kidneyseg.models import load_model, model_name

    names = [model_name(work.arguments.preset, stage) for stage in stages(work.arguments)]
    for name in names:
        refuse_learnt(load_model(name, begin), held_out)
    path = folder / f"{names[0]}.safetensors"
    if work.ranks.first:
        make_folder(folder)
        write_whole(path, (begin / path.name).read_bytes())
    work.ranks.from_first(None)  # stage 2 reads the network on every rank
    return path


def _score(held_out: Sequence[CaseFiles], folder: Path, work: Bench) -> None:
    """Segment and score a fold's cases, each until nothing fails: what came of it is kept by case."""
    from kidneyseg.evaluation import Failure, Segmenting, segment_and_score
    from kidneyseg.files import write_whole
    from kidneyseg.training.checkpoints import claim

    variants = _variants(work)
    scores = folder / "scores"
    claim(scores, _scoring(work), mend=f"remove {scores} to score anew")
    how = Segmenting(preset(work.arguments.preset), folder, work.arguments.device)
    for case in held_out:
        path = scores / f"{case.name}.json"
        if path.is_file() and not any(isinstance(outcome, Failure) for outcome in _kept(path)):
            continue
        outcomes = list(segment_and_score([case], how, variants, keep=folder / "masks"))
        write_whole(path, json.dumps([one.to_dict() for one in outcomes], indent=1).encode())
        for outcome in outcomes:
            work.say(_line(outcome))


def _kept(path: Path) -> list[Outcome]:
    """What came of a case: scores, and failures where a version of it could not be scored."""
    from kidneyseg.evaluation import CaseScore, Failure

    kept = json.loads(path.read_text(encoding="utf-8"))
    return [Failure(**one) if "error" in one else CaseScore.from_dict(one) for one in kept]


def _variants(work: Bench) -> Variants:
    from kidneyseg.evaluation import Variants

    arguments = work.arguments
    return Variants(
        shapes=work.held_out_lesions,
        insertions=arguments.insertions,
        as_is=True,
        seed=_SCORING_SEED,
        lesions_unlabelled=frozenset(arguments.lesions_unlabelled),
    )


def _scoring(work: Bench) -> dict[str, object]:
    """What the scores depend on besides the networks."""
    from kidneyseg.synthesis.lesion_cache import library_key

    arguments, shapes = work.arguments, work.held_out_lesions
    return {
        "settings": preset(arguments.preset).to_dict(),
        "shapes": library_key(shapes)[:16] if shapes is not None else None,
        "insertions": arguments.insertions,
        "sizes": "as they were",  # not what was scored when some lesions were made smaller
        "seed": _SCORING_SEED,
        "lesions unlabelled": sorted(arguments.lesions_unlabelled),
    }


def _report(parts: Sequence[Sequence[CaseFiles]], work: Bench) -> int:
    """Write the report over all cases and print it; 1 when some are missing yet (no report then) or failed."""
    from kidneyseg.evaluation import Failure, as_markdown, write_report

    arguments = work.arguments
    outcomes: list[Outcome] = []
    missing = []
    networks = {}
    for number, part in enumerate(parts, start=1):
        folder = arguments.output / f"fold-{number}"
        networks[f"fold {number}"] = [case.name for case in part]
        for case in part:
            path = folder / "scores" / f"{case.name}.json"
            if path.is_file():
                outcomes += _kept(path)
            else:
                missing.append(case.name)
    if missing:
        again = "run the same command again" if arguments.fold is None else "run it for the other folds, too"
        print(f"not tried yet: {', '.join(missing)}; {again}, then the report is written", file=sys.stderr)
        return 1
    outcomes.sort(key=lambda outcome: outcome.name)
    about = {"preset": arguments.preset, "seed": arguments.seed, "scored by networks trained on the others": networks}
    for path in write_report(arguments.output / "report", outcomes, title="Cross-validation", about=about):
        print(path, file=sys.stderr)
    print(as_markdown(outcomes), end="")
    failed = list(dict.fromkeys(outcome.case for outcome in outcomes if isinstance(outcome, Failure)))
    if failed:
        print(f"the report names what failed of {', '.join(failed)}; mend it, then run this again", file=sys.stderr)
    return 1 if failed else 0


def _line(outcome: Outcome) -> str:
    from kidneyseg.evaluation import Failure

    if isinstance(outcome, Failure):
        return f"{outcome.name}: {outcome.error}"
    figures = outcome.figures()
    shown = [f"{name} {figures[name]:.3f}" for name in ("kidney Dice", "tumour Dice") if figures[name] is not None]
    return f"{outcome.name}: {', '.join(shown)}"
