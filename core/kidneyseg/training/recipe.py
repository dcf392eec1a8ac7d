"""Training recipes: TOML files with the numbers of training, read into typed, validated values."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from kidneyseg.errors import SettingsError

# Imported because importing a module of augmentations registers them.
from kidneyseg.training import anatomy_augmentations, intensity  # noqa: F401
from kidneyseg.training.augmentation import REGISTRY, Augmentation, Kind
from kidneyseg.training.stage_recipes import BandRecipe, DetectionRecipe, GridRecipe, StageRecipe, WholeCTRecipe

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
Table = Mapping[str, Any]

_BUNDLED = Path(__file__).parent / "recipes"
_STAGES = ("stage1", "coarse", "stage2")

_SAMPLERS: Mapping[str, type[StageRecipe]] = {
    "whole_ct": WholeCTRecipe,
    "detections": DetectionRecipe,
    "bands": BandRecipe,
}


@dataclass(frozen=True)
class Recipe:
    """How the networks of one method are trained."""

    name: str  #: of the recipe's file, without suffix
    method: str  #: whose networks it trains
    stages: Mapping[str, StageRecipe]  #: by name, "stage1", "coarse" or "stage2"

    def stage(self, name: str) -> StageRecipe:
        """One stage's recipe. Raises SettingsError where there is none."""
        if name not in self.stages:
            raise SettingsError(f"the recipe {self.name} has no stage {name}; it has {', '.join(self.stages)}")
        return self.stages[name]

    def uses(self, augmentation: str) -> bool:
        """Whether any stage names this augmentation of anatomy and does not switch it off."""
        stages = (one for one in self.stages.values() if isinstance(one, GridRecipe | BandRecipe))
        return any(one.name == augmentation for stage in stages for one in stage.anatomy)


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
    if len(recipe.class_bias) not in (1, len(recipe.class_weights)):
        raise SettingsError(f"{name} needs one class_bias, or as many as class_weights")
    return recipe


def merged(base: Table, table: Table) -> dict[str, Any]:
    """`base` with the values of `table`; tables within are merged in the same way."""
    result = dict(base)
    for key, value in table.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def from_table(cls: type[T], table: Table, where: str) -> T:
    """A dataclass from a table that must hold exactly its fields.

    Raises:
        SettingsError: a key is unknown or missing, or a value has the wrong type or lies outside its range.
    """
    types = get_type_hints(cls)
    names = [field.name for field in fields(cls)]
    _refuse_unknown(table, names, where)
    if missing := [name for name in names if name not in table]:
        raise SettingsError(f"{where} lacks {missing[0]}; set it, or extend a recipe that does")
    return cls(**{name: _value(types[name], table[name], f"{where}.{name}") for name in names})


def _refuse_unknown(table: Table, known: list[str], where: str) -> None:
    if unknown := [key for key in table if key not in known]:
        raise SettingsError(f"{where} has no key {unknown[0]}; it has {', '.join(known)}")


def _value(kind: Any, value: Any, where: str) -> Any:
    """A value of a TOML file as the type `kind`. The last word of its key tells more about its range."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return from_table(kind, _table(value, where), where)
    if arguments and arguments[0] is Augmentation:
        return _augmentations(_table(value, where), where)
    if origin is tuple:
        return _numbers(arguments, value, where)
    if origin is Literal or type(None) in arguments:  # of a choice that may be None, TOML can only leave out the key
        choices = arguments if origin is Literal else get_args(arguments[0])
        if value not in choices:
            raise SettingsError(f"{where} must be one of {', '.join(choices)}, not {value!r}")
        return value
    if kind is bool:
        if not isinstance(value, bool):
            raise SettingsError(f"{where} must be true or false, not {value!r}")
        return value
    return _number(value, where, whole=kind is int)


def _table(value: Any, where: str) -> Table:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where} must be a table, not {value!r}")
    return value


def _number(value: Any, where: str, *, whole: bool = False, signed: bool = False) -> float:
    """A number: whole ones from 1, others from 0 unless `signed`, shares and probabilities up to 1, inf for max_..."""
    numeric = type(value) in ((int,) if whole else (int, float)) and not math.isnan(value)
    if not numeric or (math.isinf(value) and not where.rpartition(".")[2].startswith("max_")):
        raise SettingsError(f"{where} must be a {'whole ' if whole else ''}number, not {value!r}")
    if not signed and value < (1 if whole else 0):
        raise SettingsError(f"{where} must be at least {1 if whole else 0}, not {value!r}")
    if where.endswith(("probability", "share")) and value > 1:
        raise SettingsError(f"{where} must be at most 1, not {value!r}")
    return int(value) if whole else float(value)


def _numbers(types: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    """A list of numbers: of any length for `tuple[X, ...]`, a range (lowest, highest) for two floats."""
    if not isinstance(value, list) or not value or (types[-1] is not Ellipsis and len(value) != len(types)):
        wanted = "numbers" if types[-1] is Ellipsis else f"{len(types)} numbers"
        raise SettingsError(f"{where} must be a list of {wanted}, not {value!r}")
    numbers = tuple(_number(one, where, whole=types[0] is int, signed=types[-1] is float) for one in value)
    if types == (float, float) and numbers[0] > numbers[1]:
        raise SettingsError(f"{where} must be a range, lowest first, not {value!r}")
    if where.endswith("odds") and (min(numbers) < 0 or abs(sum(numbers) - 1) > 1e-9):
        raise SettingsError(f"{where} must be probabilities that add up to 1, not {value!r}")
    return numbers


def _augmentations(tables: Table, where: str) -> tuple[Augmentation, ...]:
    """The augmentations of a table whose name is their kind."""
    kind: Kind = "anatomy" if where.endswith("anatomy") else "intensity"
    result = []
    for name, content in tables.items():
        path = f"{where}.{name}"
        if name not in REGISTRY[kind]:
            raise SettingsError(f"{where} has no augmentation {name}; there are {', '.join(REGISTRY[kind])}")
        types = REGISTRY[kind][name].parameters
        table = dict(_table(content, path))
        _refuse_unknown(table, ["probability", *types], path)
        if "probability" not in table:
            raise SettingsError(f"{path} lacks probability; set it to 0 to switch the augmentation off")
        probability = _number(table.pop("probability"), f"{path}.probability")
        parameters = {key: _value(types[key], value, f"{path}.{key}") for key, value in table.items()}
        if probability > 0:  # one that is switched off draws no random numbers, and changes no run
            result.append(Augmentation(kind, name, probability, parameters))
    return tuple(result)
