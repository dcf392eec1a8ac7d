from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from kidneyseg.cli.evaluation_arguments import add_arguments


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser


def test_only_the_data_has_to_be_named(parser: argparse.ArgumentParser) -> None:
    parsed = parser.parse_args(["DATA"])
    assert parsed.data == Path("DATA")
    assert (parsed.labels, parsed.cases, parsed.output, parsed.lesions, parsed.insertions) == (None,) * 5
    assert (parsed.seed, parsed.yardstick, parsed.originals, parsed.error_budget, parsed.confidence) == (
        0,
        *[False] * 4,
    )


def test_lesions_and_settings_go_together(parser: argparse.ArgumentParser) -> None:
    parsed = parser.parse_args(["DATA", "--lesions", "KITS", "--yardstick", "--insertions", "3", "--preset", "paper"])
    assert (parsed.lesions, parsed.yardstick, parsed.insertions, parsed.preset) == ("KITS", True, 3, "paper")


def test_a_number_has_to_be_one(parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args(["DATA", "--clicks", "three"])
    assert "--clicks" in capsys.readouterr().err
