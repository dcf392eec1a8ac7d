"""`kidneyseg evaluate`: scores masks against labels, or segments labelled CTs as a user would and scores that."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kidneyseg.cli.settings_arguments import SETTINGS_ARGUMENTS, add_settings, settings_of
from kidneyseg.cli.terminal import print_json
from kidneyseg.errors import InputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kidneyseg.datasets.cases import CaseFiles
    from kidneyseg.evaluation import Outcome, Segmenting, Variants
    from kidneyseg.synthesis.insertion import LesionLibrary

_USAGE = """\
kidneyseg evaluate [options] DATA           segment labelled CTs, then score
       kidneyseg evaluate [options] MASKS LABELS   score masks that are there"""

_DESCRIPTION = """\
Score kidney and tumour masks on the CTs' own voxels: Dice as in KiTS19 and KiTS23, surface Dice, volume errors, lesions
found and false positives by size, point IoU. Prints a row a case and the summary: mean with its 95 % bootstrap
interval, median, 5th percentile.

DATA, as for `kidneyseg train`: NAME_ct.nii.gz with NAME_kidney.nii.gz, KiTS' case_XXXXX/imaging.nii.gz with
segmentation.nii.gz, or nnU-Net's imagesTr/ and labelsTr/. Each CT is segmented end to end in a process of its own.
LABELS: the same layouts, or plain NAME.nii.gz. MASKS: NAME_mask.nii.gz or NAME.nii.gz, on the voxels of the labels.
Labels: 1 kidney, 2 tumour, 3 cyst.

With --lesions, tumours are inserted into each CT first (KiTS shapes of held-out cases, or made-up ones): figures for
inserted tumours say nothing certain about real ones. docs/evaluation.md says what each figure means.

Ctrl-C ends with the report of what was scored until then.

exit codes: 0 all cases were scored; 1 some were not; 2 wrong arguments; 3 nothing could be used; 130 interrupted"""

# Arguments that only make sense when CTs are segmented here.
_SEGMENTING_ONLY = ("steps", "lesions", "insertions", "originals", "models", *SETTINGS_ARGUMENTS)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "evaluate",
        help="score masks, or segment labelled CTs and score that",
        usage=_USAGE,
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA | MASKS", help="folder of labelled CTs, or of masks")
    parser.add_argument("labels", type=Path, metavar="LABELS", nargs="?", help="folder of the labels of those masks")
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="only these")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write the report here (CSV, JSON, Markdown), and new masks"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument(
        "--steps",
        action="store_true",
        help="tell what sampling, stage 1, stage 2, DBSCAN and fill cost on DATA instead, all in one process",
    )
    parser.add_argument(
        "--cts", type=Path, metavar="DIR", help="the CTs, for the paper's point IoU, where they are not beside LABELS"
    )
    parser.add_argument(
        "--lesions-unlabelled",
        nargs="+",
        metavar="NAME",
        help="CTs with real lesions that are labelled kidney: they are summarised apart",
    )
    _add_insertion(parser)
    add_settings(parser)
    parser.set_defaults(run=run)


def _add_insertion(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("inserted tumours", "for DATA without tumour labels")
    group.add_argument("--lesions", metavar="DIR", help="insert tumours: a folder of KiTS label maps, or `procedural`")
    group.add_argument("--lesion-hu", type=Path, metavar="CSV", help="HU statistics of those cases")
    group.add_argument("--insertions", type=int, metavar="N", help="different insertions into each CT (1)")
    group.add_argument("--originals", action="store_true", help="score the CTs without insertion, too: false positives")
    group.add_argument("--seed", type=int, default=0, help="of the insertions (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Score, print a row a case and the summary, write the report."""
    if arguments.steps and not arguments.labels:
        return _run_steps(arguments)

    from kidneyseg.evaluation import CaseScore, as_dict, as_markdown, write_report

    outcomes: list[Outcome] = []
    about: dict[str, Any] = {}
    with _interrupt_held(outcomes) as held:
        for outcome in _scored_masks(arguments) if arguments.labels else _segmented(arguments, about):
            outcomes.append(outcome)
            if not arguments.json:
                print(_line(outcome), file=sys.stderr, flush=True)
    title = "Evaluation"
    if held:
        title, about["interrupted"] = "Evaluation, interrupted", True
    write = partial(write_report, outcomes=outcomes, title=title, about=about)
    _give(arguments, about | as_dict(outcomes), as_markdown(outcomes), write)
    if arguments.labels:
        _tell_of_missing_points(outcomes)
    if held:
        raise held[0]
    return 0 if all(isinstance(outcome, CaseScore) for outcome in outcomes) else 1


@contextmanager
def _interrupt_held(outcomes: Sequence[object]) -> Iterator[list[KeyboardInterrupt]]:
    """Puts Ctrl-C into the list it gives, to be raised once told of the outcomes; without any it is raised at once."""
    held: list[KeyboardInterrupt] = []
    try:
        yield held
    except KeyboardInterrupt as interrupt:
        if not outcomes:
            raise
        held.append(interrupt)
        print(f"interrupted: this is what came of the first {len(outcomes)}", file=sys.stderr)


def _give(
    arguments: argparse.Namespace, values: dict[str, Any], page: str, write: Callable[[Path], list[Path]]
) -> None:
    """Print the values or the page, as asked, and write the files where they are wanted."""
    if arguments.json:
        print_json(values)
    else:
        print(page, end="")
    if arguments.output is None:
        print("no files were written; -o DIR writes this as CSV, JSON and Markdown", file=sys.stderr)
        return
    for path in write(arguments.output):
        print(path, file=sys.stderr)


def _scored_masks(arguments: argparse.Namespace) -> Iterator[Outcome]:
    from kidneyseg.evaluation import pair_up, score_pairs

    for name in _SEGMENTING_ONLY:
        if getattr(arguments, name):
            raise SettingsError(f"--{name.replace('_', '-')} needs CTs to segment: kidneyseg evaluate DATA")
    pairs, failures, spare = pair_up(arguments.data, arguments.labels, arguments.cts)
    if arguments.cases:
        _require_known(arguments, {pair.name for pair in pairs} | {failure.name for failure in failures})
        pairs = [pair for pair in pairs if pair.name in arguments.cases]
        failures = [failure for failure in failures if failure.name in arguments.cases]
    else:
        for sentence in spare:
            print(sentence, file=sys.stderr)
    yield from failures
    yield from score_pairs(pairs, lesions_unlabelled=frozenset(arguments.lesions_unlabelled or ()))


def _tell_of_missing_points(outcomes: Sequence[Outcome]) -> None:
    """A line on the point IoU where it lacks cases for want of a CT."""
    from kidneyseg.evaluation import CaseScore

    scores = [outcome for outcome in outcomes if isinstance(outcome, CaseScore)]
    without = [score.name for score in scores if score.points is None]
    if not without:
        return
    whose = "" if len(without) == len(scores) else f" of {', '.join(without)}"
    print(f"no CT that fits lies beside the labels{whose}: point IoU needs it (--cts DIR)", file=sys.stderr)


def _segmented(arguments: argparse.Namespace, about: dict[str, Any]) -> Iterator[Outcome]:
    """Segment and score; what the networks have learnt from of it is also put into `about`."""
    from kidneyseg.evaluation import segment_and_score

    cases, how, variants = _cases(arguments), _how(arguments), _variants(arguments)
    if seen := _warned_of(cases, how):
        about["the networks have learnt from"] = seen
    return segment_and_score(cases, how, variants, keep=arguments.output)


def _warned_of(cases: Sequence[CaseFiles], how: Segmenting) -> list[str]:
    """Names of the cases that the networks have learnt from, after a line that warns of them."""
    from kidneyseg.evaluation import learnt_from

    seen = learnt_from(cases, how)
    if seen:
        print(
            f"warning: the networks have learnt from {', '.join(seen)}, so these scores say little of unseen CTs; "
            "leave them out (--cases names the others), or use kidneyseg crossvalidate",
            file=sys.stderr,
        )
    return seen


def _run_steps(arguments: argparse.Namespace) -> int:
    """Measure, print and write what each step costs."""
    from kidneyseg.evaluation import (
        CaseBudget,
        Failure,
        budget_as_dict,
        budget_as_markdown,
        measure_error_budget,
        write_budget,
    )

    outcomes: list[CaseBudget | Failure] = []
    cases, how, variants = _cases(arguments), _how(arguments), _variants(arguments)
    _warned_of(cases, how)
    with _interrupt_held(outcomes) as held:
        for outcome in measure_error_budget(cases, how, variants):
            outcomes.append(outcome)
            print(f"{outcome.name}{f': {outcome.error}' if isinstance(outcome, Failure) else ''}", file=sys.stderr)
    write = partial(write_budget, outcomes=outcomes)
    _give(arguments, budget_as_dict(outcomes), budget_as_markdown(outcomes), write)
    if held:
        raise held[0]
    return 0 if all(isinstance(outcome, CaseBudget) for outcome in outcomes) else 1


def _how(arguments: argparse.Namespace) -> Segmenting:
    from kidneyseg.evaluation import Segmenting

    if arguments.cts is not None:
        raise SettingsError("--cts goes with MASKS LABELS; DATA holds the CTs itself")
    return Segmenting(settings_of(arguments), arguments.models, arguments.device)


def _cases(arguments: argparse.Namespace) -> list[CaseFiles]:
    from kidneyseg.datasets.cases import find_cases

    cases = find_cases(arguments.data)
    if not arguments.cases:
        return cases
    _require_known(arguments, {case.name for case in cases})
    return [case for case in cases if case.name in arguments.cases]


def _require_known(arguments: argparse.Namespace, names: set[str]) -> None:
    unknown = sorted(set(arguments.cases) - names)
    if unknown:
        raise InputError(f"{arguments.labels or arguments.data} has no case {unknown[0]}")


def _variants(arguments: argparse.Namespace) -> Variants:
    from kidneyseg.evaluation import Variants

    if arguments.lesions is None and (arguments.insertions or arguments.originals):
        raise SettingsError(
            "--insertions and --originals go with --lesions: name a folder of label maps, or procedural"
        )
    if arguments.insertions is not None and arguments.insertions < 1:
        raise SettingsError(f"--insertions must be at least 1, not {arguments.insertions}")
    return Variants(
        shapes=_shapes(arguments),
        insertions=arguments.insertions or 1,
        as_is=arguments.originals,
        seed=arguments.seed,
        lesions_unlabelled=frozenset(arguments.lesions_unlabelled or ()),
    )


def _shapes(arguments: argparse.Namespace) -> LesionLibrary | None:
    if arguments.lesions is None:
        return None

    from kidneyseg.synthesis.insertion import LesionLibrary

    if arguments.lesions == "procedural":
        return LesionLibrary.procedural(seed=arguments.seed + 1000)
    path = Path(arguments.lesions)
    library = LesionLibrary.load(path) if path.is_file() else LesionLibrary.from_kits(path, arguments.lesion_hu)
    return library.split()[1]


def _line(outcome: Outcome) -> str:
    """One case as soon as it is scored."""
    from kidneyseg.evaluation import Failure

    if isinstance(outcome, Failure):
        return f"{outcome.name}: {outcome.error}"
    figures = outcome.figures()
    cells = [f"{outcome.name:<22}"]
    cells += [f"{name} {figures[name]:.3f}  " for name in ("kidney Dice", "tumour Dice") if figures[name] is not None]
    if outcome.lesions:
        cells.append(f"lesions {sum(one.found for one in outcome.lesions)}/{len(outcome.lesions)}  ")
    cells.append(f"false positives {len(outcome.false_positives_ml)}  ")
    if outcome.seconds is not None:
        cells.append(f"{outcome.seconds:.1f} s  {outcome.peak_mb:.0f} MB")
    return "".join(cells).rstrip()
