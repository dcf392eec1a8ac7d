"""The registry of augmentations: one function and one registration make a name that recipes know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kidneyseg.training.augmentation import REGISTRY, Augmentation, augmentation, augmented
from kidneyseg.training.intensity import Scan, simulate_scanner
from kidneyseg.training.recipe import load_recipe


@pytest.fixture
def brighten() -> Iterator[str]:
    """An augmentation of a user's own."""

    @augmentation("intensity", "brighten", applies=lambda scan: scan.spacing_mm < 5)
    def _brighten(scan: Scan, rng: np.random.Generator, *, by_hu: tuple[float, float] = (5.0, 10.0)) -> Scan:
        return replace(scan, hu=scan.hu + np.float32(rng.uniform(*by_hu)))

    yield "brighten"
    del REGISTRY["intensity"]["brighten"]


def test_a_registered_function_is_known_to_recipes(brighten: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        f'extends = "default"\n[intensity.{brighten}]\nprobability = 1.0\nby_hu = [20.0, 20.0]\n'
    )
    recipe = load_recipe(tmp_path / "mine.toml").stage("stage1")
    own = [one for one in recipe.intensity if one.name == brighten]  # type: ignore[attr-defined]
    assert own == [Augmentation("intensity", brighten, 1.0, {"by_hu": (20.0, 20.0)})]
    scan = simulate_scanner(Scan(np.zeros((2, 2, 2), np.float32), 2.0), own, np.random.default_rng(0))
    assert (scan.hu == 20).all()


def test_what_does_not_apply_or_happen_changes_nothing(brighten: str) -> None:
    scan, rng = Scan(np.zeros((2, 2, 2), np.float32), 2.0), np.random.default_rng(0)
    assert Augmentation("intensity", brighten, 0.0)(scan, rng) is scan
    coarse = replace(scan, spacing_mm=6.0)
    state = rng.bit_generator.state
    assert Augmentation("intensity", brighten, 1.0)(coarse, rng) is coarse
    assert rng.bit_generator.state == state, "what does not apply draws nothing"
    happened = [Augmentation("intensity", brighten, 0.3)(scan, rng) is not scan for _ in range(400)]
    assert 0.24 < np.mean(happened) < 0.36


def test_augmentations_are_applied_in_order(brighten: str) -> None:
    @augmentation("intensity", "double")
    def _double(scan: Scan, rng: np.random.Generator) -> Scan:
        return replace(scan, hu=scan.hu * 2)

    first = Augmentation("intensity", brighten, 1.0, {"by_hu": (10.0, 10.0)})
    second = Augmentation("intensity", "double", 1.0)
    scan = Scan(np.ones((1, 1, 1), np.float32), 2.0)
    assert augmented(scan, (first, second), np.random.default_rng(0)).hu.item() == 22
    assert augmented(scan, (second, first), np.random.default_rng(0)).hu.item() == 12
    del REGISTRY["intensity"]["double"]


def test_parameters_are_the_keyword_only_ones_of_both_functions() -> None:
    fat = REGISTRY["anatomy"]["fat"].parameters
    assert {"around_mm", "depth_mm", "around_probability", "fat_hu"} <= fat.keys()
    assert not fat.keys() & {"subject", "rng", "parameters", "hu", "labels", "regions"}
