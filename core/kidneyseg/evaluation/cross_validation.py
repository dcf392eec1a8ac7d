"""Cross-validation: every case is segmented and scored by networks that were not trained on it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.datasets.folds import folds as split_into_folds
from kidneyseg.errors import SettingsError
from kidneyseg.evaluation.end_to_end import SegmentationSpec, segment_and_score
from kidneyseg.evaluation.report import write_report
from kidneyseg.evaluation.scores import CaseScore, Failure, Outcome
from kidneyseg.evaluation.variants import Variants
from kidneyseg.files import write_whole
from kidneyseg.progress import Progress
from kidneyseg.settings import preset
from kidneyseg.training.context import TrainingContext, TrainingSpec, open_context
from kidneyseg.training.run_folder import BusyError, lock, require_same_run
from kidneyseg.training.runs import fold_folder, train_fold
from kidneyseg.training.split import find_labelled

log = logging.getLogger(__name__)

# Of the lesions that are inserted to be scored: the same for every seed of the training, so that runs compare.
SCORING_SEED = 0


@dataclass(frozen=True)
class CrossValidation:
    """The result of a cross-validation."""

    outcomes: tuple[Outcome, ...]  #: scores and failures, ordered by name
    missing: tuple[str, ...]  #: names of cases that no fold has tried yet; the report is written once there are none
    report: tuple[Path, ...]  #: the report's files

    @property
    def failed(self) -> list[str]:
        """Names of the cases of which something could not be scored."""
        return list(dict.fromkeys(outcome.case for outcome in self.outcomes if isinstance(outcome, Failure)))


def cross_validate(
    spec: TrainingSpec,
    *,
    folds: int = 3,
    fold: int | None = None,
    versions: Variants | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = log.info,
) -> CrossValidation | None:
    """Train each fold's networks on the other folds, score its cases end to end, and write `spec.output`/report.

    Call it again after a stop, or in several processes at once: what is finished is kept, and a fold that another
    process works on is left to it.

    Args:
        spec: what is trained; the networks of the last step are scored.
        folds: number of folds; cases go to them in the order of their names.
        fold: only this one, counted from 1.
        versions: which versions of each case are scored besides the case as it is; the context's shapes are inserted.
            None is one version with tumours.
        progress: receives reports and may cancel.
        say: receives lines for the user.

    Returns:
        What was scored so far; None on the other ranks of a distributed training.

    Raises:
        SettingsError: for a fold that there is not, or as in `training.runs.train`.
        BusyError: when another process works on the one `fold` that was asked for.
    """
    if spec.validate:
        raise SettingsError("cross-validation holds out its folds; leave out the validation cases")
    variants = replace(
        versions or Variants(), as_is=True, seed=SCORING_SEED, lesions_unlabelled=spec.lesions_unlabelled
    )
    parts = split_into_folds(find_labelled(spec), folds)
    if fold is not None and not 1 <= fold <= folds:
        raise SettingsError(f"fold must be 1 to {folds}, not {fold}")
    with open_context(spec, scored=True, progress=progress, say=say) as context:
        for number in [fold] if fold else range(1, folds + 1):
            context.say(f"fold {number} of {folds}")
            try:
                with lock(fold_folder(spec.output, number), context.ranks):
                    train_fold(number, parts, context)
                    if context.ranks.first:
                        score_fold(number, parts[number - 1], variants, context)
            except BusyError as error:
                if fold:
                    raise
                context.say(f"{error} (fold {number} is left to it)")
        return _collected(parts, spec) if context.ranks.first else None


def score_fold(number: int, held_out: Sequence[CaseFiles], variants: Variants, context: TrainingContext) -> None:
    """Segment and score the cases of a fold, and keep the outcomes by case; only failures are tried again.

    Args:
        variants: the versions of each case, with the context's shapes.
    """
    folder = fold_folder(context.spec.output, number)
    scores = folder / "scores"
    variants = replace(variants, shapes=context.held_out_lesions)
    require_same_run(scores, _identity(variants, context.spec), remedy=f"remove {scores} to score again")
    how = SegmentationSpec(preset(context.spec.method), folder, context.spec.device)
    for case in held_out:
        path = scores / f"{case.name}.json"
        if path.is_file() and not any(isinstance(outcome, Failure) for outcome in _read(path)):
            continue
        outcomes = list(segment_and_score([case], how, variants, keep=folder / "masks"))
        write_whole(path, json.dumps([outcome.to_dict() for outcome in outcomes], indent=1).encode())
        for outcome in outcomes:
            context.say(_line(outcome))


def _read(path: Path) -> list[Outcome]:
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [Failure(**one) if "error" in one else CaseScore.from_dict(one) for one in stored]


def _identity(variants: Variants, spec: TrainingSpec) -> dict[str, object]:
    """What the scores depend on besides the networks."""
    return {
        "settings": preset(spec.method).to_dict(),
        "shapes": variants.shapes.key[:16] if variants.shapes is not None else None,
        "insertions": variants.insertions,
        **({"growth types": True} if variants.growth_types else {}),
        **({"extrarenal": variants.extrarenal} if variants.extrarenal else {}),
        **({"cysts": variants.cysts} if variants.cysts else {}),
        **({"slabs": variants.slabs} if variants.slabs else {}),
        **({"transplants": variants.transplants} if variants.transplants else {}),
        "seed": variants.seed,
        "lesions unlabelled": sorted(variants.lesions_unlabelled),
    }


def _collected(parts: Sequence[Sequence[CaseFiles]], spec: TrainingSpec) -> CrossValidation:
    """All outcomes; the report is written if none is missing."""
    outcomes: list[Outcome] = []
    missing: list[str] = []
    for number, part in enumerate(parts, start=1):
        for case in part:
            path = fold_folder(spec.output, number) / "scores" / f"{case.name}.json"
            if path.is_file():
                outcomes += _read(path)
            else:
                missing.append(case.name)
    outcomes.sort(key=lambda outcome: outcome.name)
    report: list[Path] = []
    if not missing:
        held_out = {f"fold {number}": [case.name for case in part] for number, part in enumerate(parts, start=1)}
        about = {"method": spec.method, "seed": spec.seed, "scored by networks trained on the others": held_out}
        report = write_report(spec.output / "report", outcomes, title="Cross-validation", about=about)
    return CrossValidation(tuple(outcomes), tuple(missing), tuple(report))


def _line(outcome: Outcome) -> str:
    if isinstance(outcome, Failure):
        return f"{outcome.name}: {outcome.error}"
    figures = outcome.figures()
    shown = [f"{name} {figures[name]:.3f}" for name in ("kidney Dice", "tumour Dice") if figures[name] is not None]
    return f"{outcome.name}: {', '.join(shown)}"
