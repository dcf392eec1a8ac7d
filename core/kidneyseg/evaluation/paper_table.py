"""The paper's table on unseen CTs: IoU over the pooled points that a network was shown, and the sampling's ceiling."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.datasets.folds import folds as split_into_folds
from kidneyseg.errors import InputError, SettingsError
from kidneyseg.evaluation.cross_validation import SCORING_SEED
from kidneyseg.evaluation.end_to_end import SegmentationSpec
from kidneyseg.evaluation.error_budget import CaseBudget, measure_error_budget
from kidneyseg.evaluation.scores import Failure
from kidneyseg.evaluation.variants import Variants
from kidneyseg.files import write_whole
from kidneyseg.models import Stage, model_name
from kidneyseg.progress import Progress
from kidneyseg.segmentation.networks import load_networks
from kidneyseg.settings import PRESET_NAMES, BandSettings, Settings, preset
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training.context import TrainingContext, TrainingSpec, open_context
from kidneyseg.training.run_folder import require_same_run
from kidneyseg.training.runs import fold_folder, refuse_leak
from kidneyseg.training.split import find_labelled, split_cases

log = logging.getLogger(__name__)

# The shares that the paper's bands are measured at: the preset's, and those to which users raise it.
KEPT_PERCENTS = (10.0, 20.0, 30.0)
# The share of the paper's own table.
PUBLISHED_PERCENT = 3.0
_TRAIN_FIRST = "train it first: the same command without --paper-table"


@dataclass(frozen=True)
class Measured:
    """What some networks, with some settings, gave on the CTs that they were not trained on."""

    method: str  #: of the networks
    shown: str  #: which points stage 1 was shown
    outcomes: tuple[CaseBudget | Failure, ...]  #: of every version of every CT

    @property
    def budgets(self) -> list[CaseBudget]:
        """Those that could be measured."""
        return [one for one in self.outcomes if isinstance(one, CaseBudget)]


def measure_paper_table(
    spec: TrainingSpec,
    *,
    folds: int = 3,
    fold: int | None = None,
    insertions: int = 1,
    beside: Path | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = log.info,
) -> list[Measured]:
    """Measure the networks of a cross-validation on the points of each fold's own CTs, with inserted tumours.

    The paper's networks are measured on the brightest 10, 20 and 30 % of the voxels. Nothing is trained. What was
    measured is kept in the folds' folders, so that a stopped command continues.

    Args:
        spec: of the cross-validation, with the same data and lesions.
        folds: number of folds.
        fold: only this one, counted from 1.
        insertions: versions of each CT, each with other tumours.
        beside: output folder of a cross-validation of another method with the same folds, to be measured likewise.
        progress: may cancel.
        say: receives lines for the user.

    Raises:
        InputError: when a fold has no networks.
        SettingsError: for a fold that there is not, or networks that were trained on a CT of their fold.
    """
    parts = split_into_folds(find_labelled(spec), folds)
    if fold is not None and not 1 <= fold <= folds:
        raise SettingsError(f"fold must be 1 to {folds}, not {fold}")
    numbers = [fold] if fold else list(range(1, folds + 1))
    measured = []
    with open_context(spec, scored=True, progress=progress, say=say) as context:
        for method, output in _networks(spec, beside, numbers):
            for settings, shown in _settings(method):
                outcomes: list[CaseBudget | Failure] = []
                for number in numbers:
                    folder = fold_folder(output, number)
                    outcomes += _measure_fold(folder, parts[number - 1], settings, insertions, context)
                measured.append(Measured(method, shown, tuple(sorted(outcomes, key=lambda one: one.name))))
    return measured


def measure_held_out(
    spec: TrainingSpec,
    *,
    insertions: int = 1,
    progress: Progress | None = None,
    say: Callable[[str], None] = log.info,
) -> list[Measured]:
    """Measure the networks of `runs.train` on the points of their validation CTs, as in the paper's experiment.

    The paper's networks are measured on the brightest 3 % of the voxels besides, in one band, as published. Nothing is
    trained. What was measured is kept in `spec.output`, so that a stopped command continues.

    Args:
        spec: of the training, with the same data, validation cases and lesions. With `insert_lesions`, a CT is measured
            with inserted tumours; where the labels hold tumours, it should be false.
        insertions: versions of each CT with inserted tumours.
        progress: may cancel.
        say: receives lines for the user.

    Raises:
        InputError: when there are no networks.
        SettingsError: without validation cases, or for networks that were trained on one of them.
    """
    _, validation = split_cases(spec)
    if not validation:
        raise SettingsError("the table is of the validation cases: name those of the training with --validate")
    if (missing := _missing_network(spec.method, [spec.output])) is not None:
        raise InputError(f"there is no {missing}; {_TRAIN_FIRST}")
    measured = []
    with open_context(spec, scored=True, progress=progress, say=say) as context:
        for settings, shown in _settings(spec.method, (PUBLISHED_PERCENT, *KEPT_PERCENTS)):
            outcomes = _measure_fold(spec.output, validation, settings, insertions, context)
            measured.append(Measured(spec.method, shown, tuple(sorted(outcomes, key=lambda one: one.name))))
    return measured


def _networks(spec: TrainingSpec, beside: Path | None, numbers: Sequence[int]) -> Iterator[tuple[str, Path]]:
    """Methods and the output folders of their folds."""
    wanted = [((spec.method,), spec.output)] + ([(PRESET_NAMES, beside)] if beside is not None else [])
    for methods, output in wanted:
        for method in methods:
            missing = _missing_network(method, [fold_folder(output, number) for number in numbers])
            if missing is None:
                yield method, output
                break
        else:
            raise InputError(f"there is no {missing}; {_TRAIN_FIRST}")


def _missing_network(method: str, folders: Sequence[Path]) -> Path | None:
    """The first network of a method that these folders lack."""
    names = [f"{model_name(method, stage)}.safetensors" for stage in (Stage.STAGE1, Stage.STAGE2)]
    files = (folder / name for folder in folders for name in names)
    return next((file for file in files if not file.is_file()), None)


def _settings(method: str, kept_percents: Sequence[float] = KEPT_PERCENTS) -> Iterator[tuple[Settings, str]]:
    """The settings that a method is measured with, and which points stage 1 is shown with them."""
    settings = preset(method)
    if not isinstance(settings.sampling, BandSettings):
        yield settings, f"brightest {settings.sampling.kept_percent:g} % of the body's cells"
        return
    for kept_percent in kept_percents:
        bands = 1 if kept_percent == PUBLISHED_PERCENT else settings.sampling.bands
        changed = settings.with_(sampling={"kept_percent": kept_percent, "bands": bands})
        yield changed, f"brightest {kept_percent:g} % of the voxels"


def _measure_fold(
    folder: Path, held_out: Sequence[CaseFiles], settings: Settings, insertions: int, context: TrainingContext
) -> list[CaseBudget | Failure]:
    """The fold's CTs, measured or as they were measured before; only failures are tried again."""
    networks = load_networks(settings.method, folder)
    for network in networks.all:
        refuse_leak(network, held_out)
    variants = Variants(shapes=context.held_out_lesions, insertions=insertions, seed=SCORING_SEED)
    kept = folder / "paper-table" / f"{settings.method}-{settings.sampling.kept_percent:g}"
    identity = {
        "settings": settings.to_dict(),
        "networks": [network.id for network in networks.all],
        "shapes": _key(variants.shapes),
        "insertions": insertions,
    }
    require_same_run(kept, identity, remedy=f"remove {kept} to measure again")
    how, outcomes = SegmentationSpec(settings, folder, context.spec.device), []
    for case in held_out:
        path = kept / f"{case.name}.json"
        own = _read(path)
        if not own or any(isinstance(one, Failure) for one in own):
            context.progress.check()
            context.say(f"{case.name}: {settings.method}, {settings.sampling.kept_percent:g} %")
            own = list(measure_error_budget([case], how, variants))
            write_whole(path, json.dumps([asdict(one) for one in own], indent=1).encode())
        outcomes += own
    return outcomes


def _read(path: Path) -> list[CaseBudget | Failure]:
    if not path.is_file():
        return []
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [Failure(**one) if "error" in one else CaseBudget.from_dict(one) for one in stored]


def _key(shapes: LesionLibrary | None) -> str | None:
    return None if shapes is None else shapes.key[:16]
