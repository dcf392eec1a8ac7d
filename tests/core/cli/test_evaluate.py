"""What `evaluate` tells and writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kidneyseg import evaluation
from kidneyseg.cli import main
from kidneyseg.imaging.nifti import save_mask, save_volume
from test_pipeline import abdomen


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A KiTS folder of two cases with tumours, and `masks` that hold their labels."""
    folder = tmp_path_factory.mktemp("data")
    volume, truth = abdomen()
    (folder / "masks").mkdir()
    for name in ("case_00000", "case_00001"):
        (folder / "kits" / name).mkdir(parents=True)
        save_volume(volume, folder / "kits" / name / "imaging.nii.gz")
        save_mask(truth, volume, folder / "kits" / name / "segmentation.nii.gz")
        save_mask(truth, volume, folder / "masks" / f"{name}.nii.gz")
    return folder


@pytest.mark.parametrize("scored", [0, 1])
def test_an_interrupt_leaves_the_report_of_what_was_scored(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scored: int
) -> None:
    score_pairs = evaluation.score_pairs

    def interrupted(pairs: Any, **named: Any) -> Iterator[evaluation.Outcome]:
        yield from score_pairs(pairs[:scored], **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "score_pairs", interrupted)
    out = tmp_path / "report"
    assert main(["evaluate", str(data / "masks"), str(data / "kits"), "-o", str(out)]) == 130
    assert out.exists() == bool(scored)
    if scored:
        assert "interrupted: this is what came of the first 1" in capsys.readouterr().err
        told = json.loads((out / "evaluation.json").read_text())
        assert ([case["name"] for case in told["cases"]], told["interrupted"]) == (["case_00000"], True)
        assert (out / "evaluation.md").read_text().startswith("# Evaluation, interrupted")
