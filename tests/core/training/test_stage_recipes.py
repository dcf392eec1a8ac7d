"""Every number that a recipe may set is explained where it is declared."""

from __future__ import annotations

import inspect
import re
from dataclasses import is_dataclass

import pytest

from kidneyseg.training import plan, spatial, stage_recipes

RECIPES = [
    kind
    for module in (plan, stage_recipes, spatial)
    for kind in vars(module).values()
    if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", RECIPES, ids=lambda kind: kind.__name__)
def test_each_field_is_described(kind: type) -> None:
    lines = inspect.getsource(kind).splitlines()
    for i, line in enumerate(lines):
        if match := re.match(r"    (\w+): ", line):
            assert "  #: " in line or lines[i - 1].startswith("    #: "), match[1]
