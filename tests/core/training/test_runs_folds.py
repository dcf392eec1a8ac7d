"""Cross-validation trains each fold's networks on the cases of the others, and on no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.datasets.folds import folds
from kidneyseg.errors import SettingsError
from kidneyseg.models import Stage, save_model
from kidneyseg.progress import Progress
from kidneyseg.sparse import SparseUNet
from kidneyseg.training import runs
from kidneyseg.training.context import TrainingContext, TrainingSpec
from kidneyseg.training.distributed import Ranks
from kidneyseg.training.runs import fold_folder, train_final, train_fold

NAMES = ["a", "b", "c", "d", "e"]
Call = tuple[Stage, Path, list[str], list[str], str, Path | None]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What `train_stage` is called with: stage, folder, training and validation cases, result, start."""
    calls: list[Call] = []

    def train_stage(
        stage: Stage,
        folder: Path,
        training: Sequence[CaseFiles],
        validation: Sequence[CaseFiles],
        _context: TrainingContext,
        *,
        keep: str,
        start_from: Path | None = None,
    ) -> Path:
        calls.append((stage, folder, [c.name for c in training], [c.name for c in validation], keep, start_from))
        return folder / stage

    monkeypatch.setattr(runs, "train_stage", train_stage)
    return calls


def context(output: Path, **more: Any) -> TrainingContext:
    spec = TrainingSpec(data=output, output=output, device="cpu", **more)
    return TrainingContext(spec, torch.device("cpu"), Ranks(), None, None, Progress(), lambda text: None)


def test_no_fold_is_trained_on_its_own_cases(tmp_path: Path, calls: list[Call]) -> None:
    parts = folds([CaseFiles(name, Path(), Path()) for name in NAMES], 3)
    for number, part in enumerate(parts, start=1):
        calls.clear()
        train_fold(number, parts, context(tmp_path))
        held_out = {case.name for case in part}
        assert [call[0] for call in calls] == [Stage.STAGE1, Stage.COARSE, Stage.STAGE2]
        for _, folder, training, validation, keep, start in calls:
            assert folder == fold_folder(tmp_path, number)
            assert training == sorted(set(NAMES) - held_out)
            assert (validation, keep, start) == ([], "last", None)  # no choice is made by the scores


def test_the_final_networks_are_trained_on_all_cases(tmp_path: Path, calls: list[Call]) -> None:
    for name in NAMES:
        for kind in ("ct", "kidney"):
            (tmp_path / f"{name}_{kind}.nii.gz").touch()
    spec = TrainingSpec(data=tmp_path, output=tmp_path / "out", device="cpu", insert_lesions=False)
    train_final(spec)
    assert {(call[1], tuple(call[2])) for call in calls} == {(tmp_path / "out" / "final", tuple(NAMES))}


def test_a_fold_continues_from_an_earlier_one_that_did_not_know_its_cases(tmp_path: Path, calls: list[Call]) -> None:
    earlier, parts = tmp_path / "earlier", folds([CaseFiles(name, Path(), Path()) for name in NAMES], 2)
    for number, known in ((1, "bd"), (2, "abce")):
        fold_folder(earlier, number).mkdir(parents=True)
        for stage in ("stage1", "stage2"):
            path = fold_folder(earlier, number) / f"default-{stage}.safetensors"
            save_model(SparseUNet(1, 2, [4]).arrays, path, {"trained on": list(known)})
    on = context(tmp_path / "later", start_from=earlier)
    paths = train_fold(1, parts, on)
    assert paths[0].read_bytes() == (earlier / "fold-1" / "default-stage1.safetensors").read_bytes()
    assert [(call[0], call[5]) for call in calls] == [(Stage.STAGE2, earlier / "fold-1")]
    with pytest.raises(SettingsError, match="was trained on b, which is to be scored"):
        train_fold(2, parts, on)
    assert replace(on.spec, start_from=None).stages == (Stage.STAGE1, Stage.COARSE, Stage.STAGE2)
