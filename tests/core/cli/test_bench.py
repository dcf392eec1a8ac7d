"""`kidneyseg bench` in real processes."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from kidneyseg.cli import main
from kidneyseg.imaging.nifti import save_volume
from kidneyseg.sparse import native
from tiny_networks import tiny_models
from volumes import abdomen

STAGES = ("reading", "points", "stage 1", "stage 2", "clusters", "fill", "findings", "export")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small CT and a folder of tiny networks."""
    folder = tmp_path_factory.mktemp("bench")
    save_volume(abdomen()[0], folder / "ct.nii.gz")
    return folder / "ct.nii.gz", tiny_models(folder)


def test_the_stages_of_a_first_and_a_next_ct(
    case: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    ct, models = case
    before, started = set(ct.parent.iterdir()), time.monotonic()
    arguments = ["bench", str(ct), "--models", str(models), "--repeats", "2", "--threads", "3", "--device", "cpu"]
    assert main([*arguments, "--json"]) == 0
    wall = time.monotonic() - started
    report = json.loads(capsys.readouterr().out)
    assert set(ct.parent.iterdir()) == before, "nothing is left beside the CT"
    assert "OMP_NUM_THREADS" not in os.environ
    assert (report["machine"]["threads"], report["repeats"], report["sample"]) == (3, 2, False)
    assert report["voxels"] == list(abdomen()[0].shape)
    first, following = report["first CT"]["median"], report["next CT"]["median"]
    assert {"start and imports", "loading networks"} == set(first) - set(following)
    for median in (first, following):
        parts = sum(median[stage] for stage in STAGES)
        assert 0 < parts < median["total"] < wall
        if native.available():
            for stage in ("stage 1", "stage 2"):
                passes = [median[f"{stage}: {part}"] for part in ("kernel maps", "convolutions")]
                assert 0 < min(passes) <= sum(passes) < median[stage]
    assert first["start and imports"] > 0.1, "Python's start is part of the first CT"
    assert first["total"] > following["total"]
    assert all(len(times) == 2 for column in ("first CT", "next CT") for times in report[column]["seconds"].values())


def test_the_table_tells_the_machine(
    case: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ct, models = case
    monkeypatch.setattr("kidneyseg.cli.benching.sample_case", lambda: ct)
    assert main(["bench", "--models", str(models), "--repeats", "1", "--preset", "paper", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("the synthetic sample case: ")
    assert lines[0].endswith("preset paper")
    assert f"python {'.'.join(map(str, sys.version_info[:3]))}" in lines[2]
    assert lines[4].split() == ["seconds,", "medians", "of", "1", "first", "CT", "next", "CT"]
    assert [line.split("  ")[0] for line in lines if line.startswith(("reading", "total"))] == ["reading", "total"]


def test_a_failure_in_the_process_is_the_command_s(
    case: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ct, models = case
    for code, says, arguments in (
        (3, "There is no file", [tmp_path / "missing.nii.gz", "--models", models]),
        (1, "is missing", [ct, "--models", tmp_path]),
        (1, "no device 'abacus'", [ct, "--models", models, "--device", "abacus"]),
    ):
        assert main(["bench", *map(str, arguments)]) == code
        told = capfd.readouterr()
        assert says in told.err
        assert (told.out, len(told.err.splitlines())) == ("", 1)


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5"])
@pytest.mark.parametrize("option", ["--repeats", "--threads"])
def test_counts_are_whole_numbers(option: str, count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", option, count])
    assert "a whole number from 1 on" in capsys.readouterr().err or count == "-1"
