"""Training for cross-validation: each fold's networks are trained on the cases of the other folds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.files import make_folder, write_whole
from kidneyseg.models import load_model, model_name
from kidneyseg.progress import Progress
from kidneyseg.training.runs import find_labelled, refuse_leak, train_stage
from kidneyseg.training.session import Session, TrainingSpec, open_session

log = logging.getLogger(__name__)


def fold_folder(output: Path, number: int) -> Path:
    """Where the networks, masks and scores of a fold, counted from 1, are."""
    return output / f"fold-{number}"


def train_fold(number: int, parts: Sequence[Sequence[CaseFiles]], session: Session) -> list[Path]:
    """Train the networks of a fold, counted from 1, on the cases of all other parts; returns their files.

    Raises:
        SettingsError: when the networks to start from were trained on a case of the fold; see also `train_stage`.
    """
    training = [case for i, part in enumerate(parts, start=1) for case in part if i != number]
    ordered = sorted(training, key=lambda case: case.name)
    return _train(fold_folder(session.spec.output, number), ordered, parts[number - 1], session)


def train_final(
    spec: TrainingSpec, *, progress: Progress | None = None, say: Callable[[str], None] = log.info
) -> list[Path]:
    """Train the networks on all cases, as the folds' are, into `spec.output`/final; see `runs.train`."""
    cases = find_labelled(spec)
    with open_session(spec, scored=False, progress=progress, say=say) as session:
        paths = _train(spec.output / "final", cases, (), session)
        return paths if session.ranks.first else []


def _train(folder: Path, training: Sequence[CaseFiles], held_out: Sequence[CaseFiles], session: Session) -> list[Path]:
    """Train the networks in `folder`; with a start, copy its stage 1 and continue the training of its stage 2."""
    spec, stages, start, done = session.spec, session.spec.stages, None, []
    if spec.start_from is not None:
        start = spec.start_from / folder.name
        for stage in stages:
            refuse_leak(load_model(model_name(spec.method, stage), start), held_out)
        done, stages = [_copy(start / f"{model_name(spec.method, stages[0])}.safetensors", folder, session)], stages[1:]
    return done + [train_stage(stage, folder, training, (), session, keep="last", start_from=start) for stage in stages]


def _copy(network: Path, folder: Path, session: Session) -> Path:
    if session.ranks.first:
        make_folder(folder)
        write_whole(folder / network.name, network.read_bytes())
    session.ranks.from_first(None)  # stage 2 reads the network on every rank
    return folder / network.name
