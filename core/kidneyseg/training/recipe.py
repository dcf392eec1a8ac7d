"""Training recipes: TOML files with the numbers of training, read into typed, validated values."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kidneyseg.errors import SettingsError
from kidneyseg.training import anatomy_augmentations, intensity  # noqa: F401 - they register their augmentations
from kidneyseg.training.recipe_schema import Table, from_table, merged
from kidneyseg.training.stage_recipes import BandRecipe, DetectionRecipe, StageRecipe, WholeCTRecipe

_BUNDLED = Path(__file__).parent / "recipes"
_STAGES = ("stage1", "coarse", "stage2")

_SAMPLERS: Mapping[str, type[StageRecipe]] = {
    "whole_ct": WholeCTRecipe,
    "detections": DetectionRecipe,
    "bands": BandRecipe,
}


@dataclass(frozen=True)
class Recipe:
    """How the networks of one method are trained.

    Attributes:
        name: of the recipe's file, without suffix.
        method: whose networks it trains.
        stages: by name, "stage1", "coarse" or "stage2".
    """

    name: str
    method: str
    stages: Mapping[str, StageRecipe]

    def stage(self, name: str) -> StageRecipe:
        """One stage's recipe. Raises SettingsError where there is none."""
        if name not in self.stages:
            raise SettingsError(f"the recipe {self.name} has no stage {name}; it has {', '.join(self.stages)}")
        return self.stages[name]


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe.

    Args:
        name_or_path: a bundled recipe ("default", "paper", "paper_published"), or a TOML file. Its key `extends` may
            name another one, whose values it then replaces.

    Raises:
        SettingsError: naming the file, the key and what to do about it.
    """
    path = _path_of(name_or_path, Path())
    try:
        table = _read(path)
        method = table.pop("method", None)
        if not isinstance(method, str):
            raise SettingsError('lacks method; set it, for example method = "default"')
        tables = {stage: table.pop(stage) for stage in _STAGES if stage in table}
        for stage, its in tables.items():
            if not isinstance(its, Mapping):
                raise SettingsError(f"{stage} must be a table of keys, not {its!r}")
        stages = {stage: _stage(stage, tables, table) for stage in tables}
    except SettingsError as error:
        raise SettingsError(f"the recipe {path.name}: {error}") from error
    return Recipe(path.stem, method, stages)


def _path_of(name_or_path: str | Path, folder: Path) -> Path:
    bundled = _BUNDLED / f"{name_or_path}.toml"
    return bundled if bundled.is_file() else folder / name_or_path


def _read(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A recipe's table with those that it extends."""
    if path in seen:
        raise SettingsError(f"extends itself by way of {path.name}; extend another recipe")
    of_base = f"its base {path.name!r} " if seen else ""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{of_base}is not valid TOML: {error}") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        known = ", ".join(sorted(file.stem for file in _BUNDLED.glob("*.toml")))
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{of_base}cannot be read ({reason}); give a TOML file or one of {known}") from error
    base = table.pop("extends", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise SettingsError(f"extends must be the name of a recipe, not {base!r}")
    return merged(_read(_path_of(base, path.parent), (*seen, path)), table)


def _stage(name: str, tables: Mapping[str, Any], shared: Table) -> StageRecipe:
    """A stage's recipe from its table, the one it extends, and the keys that apply to every stage."""
    table = dict(tables[name])
    base = table.pop("extends", None)
    if base is not None and (base not in list(tables) or base == name):
        raise SettingsError(f"{name}.extends must be another stage of the recipe, not {base!r}")
    table = merged(shared, merged(tables[base] if base is not None else {}, table))
    sampler = table.pop("sampler", None)
    if sampler not in list(_SAMPLERS):
        raise SettingsError(f"{name}.sampler must be one of {', '.join(_SAMPLERS)}, not {sampler!r}")
    recipe = from_table(_SAMPLERS[sampler], table, name)
    if len(recipe.class_weights) < 2 or recipe.ema_decay >= 1 or recipe.freeze_norms_at > 1:
        raise SettingsError(f"{name} needs two class_weights or more, an ema_decay below 1 and freeze_norms_at up to 1")
    return recipe
