"""`kidneyseg evaluate`: score masks against labels, or segment labelled CTs and score the masks."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kidneyseg.cli.evaluation_arguments import DESCRIPTION, USAGE, add_arguments
from kidneyseg.cli.settings_arguments import settings_of
from kidneyseg.cli.terminal import print_json
from kidneyseg.errors import InputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kidneyseg.datasets.cases import CaseFiles
    from kidneyseg.evaluation.calibration import CaseConfidence
    from kidneyseg.evaluation.clicks import ClickScore
    from kidneyseg.evaluation.error_budget import CaseBudget
    from kidneyseg.evaluation.scores import Outcome
    from kidneyseg.evaluation.variants import Variants
    from kidneyseg.synthesis.lesion_library import LesionLibrary

    _Scored = Outcome | CaseBudget | CaseConfidence | ClickScore

# Arguments that also apply to existing masks.
_FOR_MASKS = ("run", "verbose", "data", "labels", "cases", "output", "json", "cts", "lesions_unlabelled")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "evaluate",
        help="score masks, or segment labelled CTs and score the masks",
        usage=USAGE,
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.set_defaults(run=partial(_run, default=parser.get_default))


def _run(arguments: argparse.Namespace, default: Callable[[str], Any]) -> int:
    """Score, print a row for each case and the summary, write the report."""
    from kidneyseg.evaluation.scores import Failure

    about: dict[str, Any] = {}
    outcomes = _scored_masks(arguments, default) if arguments.labels else _segmented(arguments, about)
    done, interrupt = _collected(outcomes, quiet=arguments.json)
    if interrupt:
        about["interrupted"] = True
    _report(arguments, done, about)
    if arguments.labels:
        _name_missing_cts(done)
    if interrupt:
        raise interrupt
    return 1 if any(isinstance(outcome, Failure) for outcome in done) else 0


def _reports(arguments: argparse.Namespace) -> tuple[str, Any, Any, Any]:
    """The name of the measurement, and what makes its values, its Markdown and its files."""
    from kidneyseg.evaluation import calibration_report as confidence
    from kidneyseg.evaluation import clicks_report as clicks
    from kidneyseg.evaluation import error_budget_report as budget
    from kidneyseg.evaluation import report

    if arguments.error_budget:
        return "Error budget", budget.budget_as_dict, budget.budget_as_markdown, budget.write_budget
    if arguments.confidence:
        made = confidence.confidence_as_dict, confidence.confidence_as_markdown, confidence.write_confidence
        return "Confidence", *made
    if arguments.clicks:
        return "Clicks", clicks.clicks_as_dict, clicks.clicks_as_markdown, clicks.write_clicks
    return "Evaluation", report.as_dict, report.as_markdown, report.write_report


def _report(arguments: argparse.Namespace, done: Sequence[Any], about: dict[str, Any]) -> None:
    """Print the report and write its files."""
    what, as_dict, as_markdown, write = _reports(arguments)
    title = what + ", interrupted" * ("interrupted" in about)
    if arguments.json:
        print_json(about | as_dict(done))
    else:
        print(as_markdown(done), end="")
    if arguments.output is None:
        print("no files were written; -o DIR writes this as CSV, JSON and Markdown", file=sys.stderr)
        return
    for path in write(arguments.output, done, title=title, about=about):
        print(path, file=sys.stderr)


def _collected(outcomes: Iterator[_Scored], *, quiet: bool) -> tuple[list[Any], KeyboardInterrupt | None]:
    """The outcomes, and Ctrl-C where it ended them early; without any outcome it is raised at once."""
    done: list[Any] = []
    try:
        for outcome in outcomes:
            done.append(outcome)
            if not quiet:
                print(_line(outcome), file=sys.stderr, flush=True)
    except KeyboardInterrupt as interrupt:
        if not done:
            raise
        print(f"interrupted: the report holds the first {len(done)}", file=sys.stderr)
        return done, interrupt
    return done, None


def _scored_masks(arguments: argparse.Namespace, default: Callable[[str], Any]) -> Iterator[_Scored]:
    from kidneyseg.evaluation.masks import pair_up, score_pairs

    for name, value in vars(arguments).items():
        if name not in _FOR_MASKS and value != default(name):
            raise SettingsError(f"--{name.replace('_', '-')} needs CTs to segment: kidneyseg evaluate DATA")
    pairs, failures, unmatched = pair_up(arguments.data, arguments.labels, arguments.cts)
    if arguments.cases:
        wanted = _wanted(arguments, {pair.name for pair in pairs} | {failure.name for failure in failures})
        pairs = [pair for pair in pairs if pair.name in wanted]
        failures = [failure for failure in failures if failure.name in wanted]
    else:
        for message in unmatched:
            print(message, file=sys.stderr)
    yield from failures
    yield from score_pairs(pairs, lesions_unlabelled=frozenset(arguments.lesions_unlabelled or ()))


def _segmented(arguments: argparse.Namespace, about: dict[str, Any]) -> Iterator[_Scored]:
    """Segment and score. Warns of cases that the networks were trained on, and puts their names into `about`."""
    from kidneyseg.evaluation.calibration import measure_confidence
    from kidneyseg.evaluation.clicks import measure_clicks
    from kidneyseg.evaluation.end_to_end import SegmentationSpec, seen_in_training, segment_and_score
    from kidneyseg.evaluation.error_budget import measure_error_budget

    if sum((arguments.error_budget, arguments.confidence, arguments.clicks is not None)) > 1:
        raise SettingsError("--error-budget, --confidence and --clicks are different measurements; choose one")
    if arguments.clicks is not None and arguments.clicks < 1:
        raise SettingsError(f"--clicks takes a number of at least 1, not {arguments.clicks}")
    if arguments.cts is not None:
        raise SettingsError("--cts goes with MASKS LABELS; DATA holds the CTs itself")
    cases, variants = _cases(arguments), _variants(arguments)
    spec = SegmentationSpec(settings_of(arguments), arguments.models, arguments.device)
    if seen := seen_in_training(cases, spec):
        about["seen in training"] = seen
        print(
            f"warning: the networks were trained on {', '.join(seen)}, so these scores do not tell how unseen CTs are "
            "segmented; leave these cases out (--cases names the others), or use kidneyseg crossvalidate",
            file=sys.stderr,
        )
    if arguments.error_budget:
        return measure_error_budget(cases, spec, variants)
    if arguments.confidence:
        return measure_confidence(cases, spec, variants)
    if arguments.clicks:
        return measure_clicks(cases, spec, variants, clicks=arguments.clicks)
    return segment_and_score(cases, spec, variants, keep=arguments.output)


def _name_missing_cts(outcomes: Sequence[Outcome]) -> None:
    """Print which cases lack the point IoU because there is no CT."""
    from kidneyseg.evaluation.scores import CaseScore

    scores = [outcome for outcome in outcomes if isinstance(outcome, CaseScore)]
    without = [score.name for score in scores if score.points is None]
    if without:
        which = "" if len(without) == len(scores) else f" of {', '.join(without)}"
        print(f"no matching CT is beside the labels{which}: point IoU needs it (--cts DIR)", file=sys.stderr)


def _cases(arguments: argparse.Namespace) -> list[CaseFiles]:
    from kidneyseg.datasets.cases import find_cases

    cases = find_cases(arguments.data)
    if not arguments.cases:
        return cases
    wanted = _wanted(arguments, {case.name for case in cases})
    return [case for case in cases if case.name in wanted]


def _wanted(arguments: argparse.Namespace, names: set[str]) -> set[str]:
    from kidneyseg.datasets.folds import chosen

    wanted = chosen(arguments.cases, names)
    if unknown := sorted(wanted - names):
        raise InputError(f"{arguments.labels or arguments.data} has no case {unknown[0]}")
    return wanted


def _variants(arguments: argparse.Namespace) -> Variants:
    from kidneyseg.evaluation.variants import YARDSTICK, Variants

    of_all = arguments.lesion_hu_of == "all"
    changing = (arguments.insertions, arguments.originals, arguments.yardstick, arguments.transplants, of_all)
    if arguments.lesions is None and any(changing):
        raise SettingsError(
            "--insertions, --originals, --yardstick, --transplants and --lesion-hu-of go with --lesions: name a folder "
            "of label maps, or procedural"
        )
    for name in ("insertions", "transplants"):
        if (count := getattr(arguments, name)) is not None and count < 1:
            raise SettingsError(f"--{name} must be at least 1, not {count}")
    base = YARDSTICK if arguments.yardstick else Variants()
    return replace(
        base,
        shapes=_shapes(arguments),
        insertions=arguments.insertions or base.insertions,
        as_is=arguments.originals or base.as_is,
        transplants=arguments.transplants or 0,
        seed=arguments.seed,
        lesions_unlabelled=frozenset(arguments.lesions_unlabelled or ()),
    )


def _shapes(arguments: argparse.Namespace) -> LesionLibrary | None:
    if arguments.lesions is None:
        return None

    from kidneyseg.synthesis.kidney_library import KidneyLibrary
    from kidneyseg.synthesis.kits_files import is_held_out
    from kidneyseg.synthesis.lesion_library import LesionLibrary

    path, table = Path(arguments.lesions), arguments.lesion_hu
    if arguments.transplants and not path.is_dir():
        raise SettingsError("--transplants takes kidneys from label maps: name their folder with --lesions")
    if arguments.lesion_hu_of == "all" and not (path.is_file() or (path.is_dir() and table)):
        raise SettingsError(
            "--lesion-hu-of all takes KiTS' table of HU: name it with --lesion-hu, beside its label maps"
        )
    if arguments.lesions == "procedural":
        return LesionLibrary.procedural(seed=arguments.seed + 1000)
    library = LesionLibrary.load(path) if path.is_file() else LesionLibrary.from_kits(path, table, wanted=is_held_out)
    held_out = library.split()[1]
    if arguments.lesion_hu_of == "all":
        held_out = replace(held_out, contrast=library.contrast)
    if arguments.transplants:
        held_out = replace(held_out, kidneys=KidneyLibrary.from_kits(path, table, wanted=is_held_out).split()[1])
    return held_out


def _line(outcome: _Scored) -> str:
    """The row that is printed as soon as a case is done."""
    from kidneyseg.evaluation.clicks import ClickScore
    from kidneyseg.evaluation.scores import CaseScore, Failure

    if isinstance(outcome, Failure):
        return f"{outcome.name}: {outcome.error}"
    if isinstance(outcome, ClickScore):
        steps = " ".join(f"{value:.2f}" for value in outcome.dice)
        return f"{outcome.name:<22}{outcome.kind:<20}{outcome.ml:6.1f} mL  Dice {steps}"
    if not isinstance(outcome, CaseScore):
        return outcome.name
    figures = outcome.figures()
    cells = [f"{outcome.name:<22}"]
    cells += [f"{name} {figures[name]:.3f}  " for name in ("kidney Dice", "tumour Dice") if figures[name] is not None]
    if outcome.lesions:
        cells.append(f"lesions {outcome.detected}/{len(outcome.lesions)}  ")
    cells.append(f"false positives {len(outcome.false_positives_ml)}  ")
    if outcome.seconds is not None:
        cells.append(f"{outcome.seconds:.1f} s  {outcome.peak_mb:.0f} MB")
    return "".join(cells).rstrip()
