"""`kidneyseg train`: what it prints and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kidneyseg.cli.main import main
from kidneyseg.evaluation import paper_table
from kidneyseg.evaluation.paper_table import Measured
from kidneyseg.evaluation.scores import Failure
from kidneyseg.models import Stage
from kidneyseg.training import runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / f"{name}_ct.nii.gz").touch()
        (tmp_path / f"{name}_kidney.nii.gz").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "stage"), [("1", Stage.STAGE1), ("coarse", Stage.COARSE), ("2", Stage.STAGE2), ("all", None)]
)
def test_the_networks_files_are_printed(
    folder: Path, name: str, stage: Stage | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(spec: runs.TrainingSpec, wanted: Stage | None, *, progress: Any, say: Any) -> list[Path]:
        assert (wanted, spec.validate, spec.keep) == (stage, ("b",), "last")
        progress.update("step 1", 0.5)
        say("step 1 done")
        return [Path("x.safetensors"), Path("y.safetensors")]

    monkeypatch.setattr(runs, "train", train)
    command = ["train", str(folder), "-o", str(folder / "out"), "--stage", name, "--validate", "b", "--keep", "last"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert printed.out == "x.safetensors\ny.safetensors\n"
    assert printed.err == "step 1 done\n"


def test_the_fixed_kits19_cases_where_there_are_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(folder), "-o", str(folder / "out"), "--validate", "kits19"]) == 3
    assert "kits19 means case_00000 to case_00209" in capsys.readouterr().err


def test_a_network_that_the_method_does_not_have(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", str(folder), "-o", str(folder / "out"), "--stage", "coarse"]
    for more in (["--preset", "paper"], ["--start-from", str(folder)]):
        assert main([*command, *more]) == 2
        assert "coarse belongs to method default without a network to start from" in capsys.readouterr().err


def test_contradicting_arguments(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(folder), "-o", str(folder / "out"), "--lesions", "MASKS", "--no-insertion"]) == 2
    assert "leave out one of the two" in capsys.readouterr().err


def test_the_published_split_of_kits19(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(210):
        folder = tmp_path / "kits" / f"case_{number:05d}"
        folder.mkdir(parents=True)
        for name in ("imaging", "segmentation"):
            (folder / f"{name}.nii.gz").touch()
    assert main(["train", str(tmp_path / "kits"), "-o", str(tmp_path / "out"), "--preset", "paper"]) == 3
    told = capsys.readouterr().err
    assert "170 training cases, 40 validation cases" in told
    assert "none of the 170 cases can be used" in told


def test_the_papers_table_of_the_validation_cases_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(spec: runs.TrainingSpec, **_: Any) -> list[Measured]:
        assert (spec.method, spec.validate, spec.insert_lesions) == ("paper", ("kits19",), False)
        return [Measured("paper", "some points", (Failure("case_00001", "cut off", "case_00001"),) if failing else ())]

    monkeypatch.setattr(paper_table, "measure_held_out", measure)
    command = ["train", "DATA", "-o", str(tmp_path), "--preset", "paper", "--no-insertion", "--validate", "kits19"]
    for failing in (False, True):
        assert main([*command, "--paper-table"]) == int(failing)
        printed = capsys.readouterr()
        assert "| stage 1, published |" in printed.out
        assert ("**case_00001**: cut off" in printed.out) == failing
        assert str(tmp_path / "report" / "paper_table.md") in printed.err
