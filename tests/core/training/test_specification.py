"""The specification of a training refuses what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kidneyseg.errors import SettingsError
from kidneyseg.models import Stage
from kidneyseg.training.session import TrainingSpec

PATHS: dict[str, Any] = {"data": Path("data"), "output": Path("out")}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"recipe": "other.toml"}, "the recipe other.toml: cannot be read"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"checkpoint_every": 0}, "checkpoint every must be at least 1"),
        ({"lesions": Path("masks"), "insert_lesions": False}, "leave out one of the two"),
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TrainingSpec(**PATHS, **wrong)


def test_stage_2_of_default_starts_from_coarse_cells_or_from_a_given_network() -> None:
    assert TrainingSpec(**PATHS).stages == (Stage.STAGE1, Stage.COARSE, Stage.STAGE2)
    assert TrainingSpec(**PATHS, start_from=Path("before")).stages == (Stage.STAGE1, Stage.STAGE2)
    assert TrainingSpec(**PATHS, recipe="paper").stages == (Stage.STAGE1, Stage.STAGE2)


def test_prepared_cases_are_kept_in_the_output_unless_told_otherwise() -> None:
    assert TrainingSpec(**PATHS).cache_folder == Path("out/cache")
    assert TrainingSpec(**PATHS, cache=Path("shared")).cache_folder == Path("shared")
