"""Tables of a recipe: types, ranges and names are checked key by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from kidneyseg.errors import SettingsError
from kidneyseg.training.augmentation import Augmentation
from kidneyseg.training.recipe import from_table, merged


@dataclass
class Inner:
    probability: float
    radius_mm: tuple[float, float]


@dataclass
class Outer:
    steps: int
    schedule: Literal["cosine", "step"]
    weights: tuple[float, ...]
    rotation_deg: tuple[float, float, float]
    inner: Inner
    anatomy: tuple[Augmentation, ...]


GOOD = {
    "steps": 3,
    "schedule": "step",
    "weights": [1, 2.5],
    "rotation_deg": [1, -2.0, 3],
    "inner": {"probability": 1, "radius_mm": [-1.0, 2]},
    "anatomy": {"fat": {"probability": 0.25, "around_mm": [1, 2]}, "lesions": {"probability": 1.0}},
}


def test_values_get_the_types_of_their_fields() -> None:
    made = from_table(Outer, GOOD, "stage1")
    assert made.weights == (1.0, 2.5)
    assert made.inner == Inner(1.0, (-1.0, 2.0))
    assert made.anatomy == (
        Augmentation("anatomy", "fat", 0.25, {"around_mm": (1.0, 2.0)}),
        Augmentation("anatomy", "lesions", 1.0),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "x.steps must be at least 1, not 0"),
        ({"steps": 2.0}, "x.steps must be a whole number, not 2.0"),
        ({"steps": True}, "x.steps must be a whole number, not True"),
        ({"schedule": "linear"}, "x.schedule must be one of cosine, step, not 'linear'"),
        ({"weights": []}, "x.weights must be a list of numbers"),
        ({"weights": [1, -1]}, "x.weights must be at least 0, not -1"),
        ({"weights": 1}, "x.weights must be a list of numbers, not 1"),
        ({"rotation_deg": [1, 2]}, "x.rotation_deg must be a list of 3 numbers"),
        ({"inner": 3}, "x.inner must be a table, not 3"),
        ({"inner": {"probability": 1.5, "radius_mm": [1, 2]}}, "x.inner.probability must be at most 1, not 1.5"),
        ({"inner": {"probability": -1, "radius_mm": [1, 2]}}, "x.inner.probability must be at least 0, not -1"),
        ({"inner": {"probability": "1", "radius_mm": [1, 2]}}, "x.inner.probability must be a number, not '1'"),
        ({"inner": {"probability": float("nan"), "radius_mm": [1, 2]}}, "must be a number, not nan"),
        ({"inner": {"probability": 1, "radius_mm": [2, 1]}}, "x.inner.radius_mm must be a range, lowest first"),
        ({"inner": {"probability": 1}}, "x.inner lacks radius_mm; set it"),
        ({"inner": {"probability": 1, "radius_mm": [1, 2], "y": 1}}, "x.inner has no key y; it has probability"),
        ({"anatomy": {"fatt": {"probability": 1}}}, "x.anatomy has no augmentation fatt; there are .*fat"),
        ({"anatomy": {"fat": {}}}, "x.anatomy.fat lacks probability; set it to 0 to switch"),
        ({"anatomy": {"fat": 1}}, "x.anatomy.fat must be a table"),
        ({"anatomy": {"fat": {"probability": 1, "y": 1}}}, "x.anatomy.fat has no key y; it has .*around_mm"),
        (
            {"anatomy": {"lesions": {"probability": 1, "tumour_odds": [0.5, 0.4]}}},
            "x.anatomy.lesions.tumour_odds must be probabilities that add up to 1",
        ),
        (
            {"anatomy": {"contrast_phase": {"probability": 1, "phase": "late"}}},
            "x.anatomy.contrast_phase.phase must be one of noncontrast, arterial",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_table(Outer, GOOD | change, "x")


def test_a_choice_that_may_be_left_out_can_be_made() -> None:
    table = GOOD | {"anatomy": {"contrast_phase": {"probability": 1, "phase": "portal"}}}
    assert from_table(Outer, table, "x").anatomy[0].parameters == {"phase": "portal"}


def test_tables_are_merged_and_other_values_replaced() -> None:
    base = {"a": 1, "b": {"c": [1, 2], "d": {"e": 1}}}
    assert merged(base, {"b": {"c": [3], "d": {"f": 2}}, "g": 4}) == {
        "a": 1,
        "b": {"c": [3], "d": {"e": 1, "f": 2}},
        "g": 4,
    }
    assert base["b"] == {"c": [1, 2], "d": {"e": 1}}
