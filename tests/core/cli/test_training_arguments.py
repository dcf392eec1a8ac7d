"""The arguments of `train` and `crossvalidate` become a specification."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import pytest

from kidneyseg.cli.main import main
from kidneyseg.cli.training_arguments import add_training, spec_of
from kidneyseg.training.context import TrainingSpec

GIVEN = """DATA -o OUT --recipe paper_published --steps 5 --batch 3 --seed 2 --lesions MASKS --lesion-hu CSV
    --phantoms 4 --lesions-unlabelled a b --device cuda --precision bf16 --threads 6 --workers 7
    --checkpoint-every 8 --cache CACHE"""
EXPECTED = TrainingSpec(
    data=Path("DATA"),
    output=Path("OUT"),
    recipe="paper_published",
    steps=5,
    batch=3,
    seed=2,
    lesions=Path("MASKS"),
    lesion_hu=Path("CSV"),
    lesions_unlabelled=frozenset("ab"),
    phantoms=4,
    start_from=Path("BEFORE"),
    device="cuda",
    precision="bf16",
    threads=6,
    workers=7,
    checkpoint_every=8,
    cache=Path("CACHE"),
    validate=("c",),
    keep="last",
)


def parsed(text: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_training(parser)
    return parser.parse_args(text.split())


def test_every_argument_reaches_the_specification() -> None:
    arguments = parsed(GIVEN)
    vars(arguments).update(start_from=Path("BEFORE"), validate=["c"], keep="last")
    assert spec_of(arguments) == EXPECTED
    assert not spec_of(parsed("DATA -o OUT --no-insertion")).insert_lesions
    assert spec_of(parsed("DATA -o OUT --preset paper")).recipe == "paper"


def test_what_is_not_given_is_the_specification_s_default() -> None:
    assert spec_of(parsed("DATA -o OUT")) == TrainingSpec(data=Path("DATA"), output=Path("OUT"))
    left_out = {field.name for field in fields(TrainingSpec)} - {"data", "output", "insert_lesions"}
    default = TrainingSpec(data=Path("DATA"), output=Path("OUT"))
    assert all(getattr(EXPECTED, name) != getattr(default, name) for name in left_out)


def test_a_negative_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tmp_path), "-o", str(tmp_path / "out"), "--seed", "-1"]) == 2
    assert "seed must be at least 0, not -1" in capsys.readouterr().err
