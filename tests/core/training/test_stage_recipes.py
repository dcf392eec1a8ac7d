"""Every number that a recipe may set is explained where it is declared."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

import pytest

from kidneyseg.training import spatial, stage_recipes

RECIPES = [
    kind
    for module in (stage_recipes, spatial)
    for kind in vars(module).values()
    if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", RECIPES, ids=lambda kind: kind.__name__)
def test_each_field_is_described_once(kind: type) -> None:
    inherited = {field.name for base in kind.__bases__ if is_dataclass(base) for field in fields(base)}
    own = [field.name for field in fields(kind) if field.name not in inherited]  # type: ignore[arg-type]
    assert re.findall(r"^        (\w+): ", kind.__doc__ or "", re.MULTILINE) == own
