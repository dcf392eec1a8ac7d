"""Recipes: the bundled ones, recipes of a user's own, and what is wrong with a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pytest

from kidneyseg.errors import SettingsError
from kidneyseg.training.augmentation import Augmentation
from kidneyseg.training.recipe import from_table, load_recipe, merged
from kidneyseg.training.stage_recipes import BandRecipe, DetectionRecipe, WholeCTRecipe


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_recipe_trains_three_networks() -> None:
    recipe = load_recipe("default")
    assert (recipe.name, recipe.method) == ("default", "default")
    assert [type(stage) for stage in recipe.stages.values()] == [WholeCTRecipe, DetectionRecipe, DetectionRecipe]
    assert list(recipe.stages) == ["stage1", "coarse", "stage2"], "in the order of training"
    whole, coarse, fine = recipe.stages.values()
    assert (whole.steps, coarse.steps, fine.steps) == (6000, 14000, 4000)
    assert (whole.batch, coarse.batch, fine.batch) == (2, 1, 4)
    assert (coarse.dice_smooth, fine.dice_smooth) == (12.5, 100.0)
    assert whole.intensity == coarse.intensity == fine.intensity  # type: ignore[attr-defined]
    assert coarse.anatomy == fine.anatomy  # type: ignore[attr-defined]
    assert (coarse.view.probability, coarse.view.edge_mm) == (0.0, 66.0)  # type: ignore[attr-defined]
    assert coarse.planes == fine.planes, "stage 2 starts from the coarse network's weights"


def test_the_default_recipe_names_the_augmentations_that_the_bundled_networks_had() -> None:
    probabilities = {
        name: {one.name: one.probability for one in stage.anatomy + stage.intensity}  # type: ignore[attr-defined]
        for name, stage in load_recipe("default").stages.items()
    }
    scanner = {"gain_offset": 1.0, "blur": 0.3, "noise": 0.6, "correlated_noise": 0.5}
    assert probabilities["stage1"] == {"contrast_phase": 0.8, "fat": 0.3, "lesions": 0.5, **scanner}
    stage2 = {
        "corticomedullary_contrast": 0.6,
        "contrast_phase": 0.6,
        "fat": 0.3,
        "pseudotumours": 0.5,
        "lesions": 0.75,
    }
    assert probabilities["coarse"] == probabilities["stage2"] == {**stage2, **scanner}


def test_only_the_network_that_is_used_has_a_class_bias() -> None:
    recipe = load_recipe("whole_kidneys")
    assert recipe.stage("stage2").class_bias == (0.0, 0.0, 1.3, 0.8)
    assert recipe.stage("coarse").class_bias == recipe.stage("stage1").class_bias == (0.0,)


def test_the_papers_recipes_differ_in_class_weights_and_in_what_they_make_stage_1_keep() -> None:
    milder, published = load_recipe("paper"), load_recipe("paper_published")
    assert milder.method == published.method == "paper"
    weights = {"stage1": ((1.0, 2.0), (1.0, 1000.0)), "stage2": ((1.0, 1.0, 3.0), (1.0, 1.0, 100.0))}
    for name, expected in weights.items():
        one, other = milder.stage(name), published.stage(name)
        assert isinstance(one, BandRecipe)
        assert (one.class_weights, other.class_weights) == expected
        assert isinstance(other, BandRecipe)
        assert (one.kept_probability, other.kept_probability) == (0.8, 0.5)
        differing = {key for key, value in asdict(one).items() if asdict(other)[key] != value}
        assert differing - {"detection_threshold"} == {"class_weights", "kept_probability"}
        if name == "stage2":
            for recipe in (one, other):
                assert recipe.detection_threshold[0] < recipe.kept_probability < recipe.detection_threshold[1]


def test_a_recipe_of_ones_own_sets_what_differs(tmp_path: Path) -> None:
    text = """
    extends = "default"
    [stage2]
    steps = 10
    [stage2.anatomy.fat]
    probability = 0.9
    [intensity.noise]
    sd_hu = [1, 2]
    """
    mine, theirs = load_recipe(written(tmp_path, text)), load_recipe("default")
    assert mine.name == "mine"
    assert mine.stage("stage1").steps == 6000
    assert (mine.stage("stage2").steps, mine.stage("coarse").steps) == (10, 14000)
    for name in ("coarse", "stage2"):  # the coarse stage extends stage 2
        before, after = theirs.stage(name).anatomy, mine.stage(name).anatomy  # type: ignore[attr-defined]
        assert [one.name for one in before] == [one.name for one in after]
        changed = {one.name: (one.probability, two.probability) for one, two in zip(before, after, strict=True)}
        assert changed.pop("fat") == (0.3, 0.9)
        assert all(one == two for one, two in changed.values())
    noise = next(one for one in mine.stage("stage1").intensity if one.name == "noise")  # type: ignore[attr-defined]
    assert (noise.probability, noise.parameters) == (0.6, {"sd_hu": (1.0, 2.0)})


def test_recipes_extend_recipes_beside_them(tmp_path: Path) -> None:
    written(tmp_path, 'extends = "paper"\nsteps = 7\n', "base.toml")
    assert load_recipe(written(tmp_path, 'extends = "base.toml"\nbatch = 3\n')).stage("stage1").steps == 7
    with pytest.raises(SettingsError, match="extends itself by way of mine"):
        load_recipe(written(tmp_path, 'extends = "mine.toml"\n'))


def test_a_stage_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="the recipe paper has no stage coarse; it has stage1, stage2"):
        load_recipe("paper").stage("coarse")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = = 1", "is not valid TOML: .*line 1"),
        ("steps = 1", "lacks method; set it"),
        (
            'extends = "nowhere.toml"',
            "its base 'nowhere.toml' cannot be read .*; give a TOML file or one of default, paper, paper_published",
        ),
        ('extends = "x\\u0000y"', "cannot be read .*null byte"),
        ('extends = "default"\nstage2 = 3', "stage2 must be a table of keys, not 3"),
        ('extends = "default"\n[stage1]\nsampler = ["x"]', "stage1.sampler must be one of"),
        ('extends = "default"\n[coarse]\nextends = ["x"]', "coarse.extends must be another stage"),
        ("extends = 3", "extends must be the name of a recipe, not 3"),
        ('extends = "default"\nbanana = 1', "stage1 has no key banana; it has steps, batch,"),
        ('extends = "default"\n[stage1]\nsampler = "x"', "stage1.sampler must be one of whole_ct, detections, bands"),
        ('extends = "default"\n[coarse]\nextends = "x"', "coarse.extends must be another stage"),
        ('extends = "default"\n[stage1]\nema_decay = 1.0', "stage1 needs .* an ema_decay below 1"),
        ('extends = "default"\n[stage1]\nclass_weights = [1.0]', "two class_weights or more"),
        ('extends = "default"\n[stage1]\nclass_bias = [0.0, 1.0, 2.0]', "stage1 needs one class_bias, or as many as"),
        ('method = "default"\n[stage1]\nsampler = "bands"', "stage1 lacks steps; set it, or extend a recipe"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=f"the recipe mine.toml: .*{message}"):
        load_recipe(written(tmp_path, text))


def test_a_recipe_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"defualt: cannot be read .*default, paper"):
        load_recipe("defualt")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_recipe(tmp_path / "binary.toml")


@dataclass
class Inner:
    probability: float
    radius_mm: tuple[float, float]


@dataclass
class Outer:
    steps: int
    schedule: Literal["cosine", "step"]
    absent: bool
    weights: tuple[float, ...]
    rotation_deg: tuple[float, float, float]
    inner: Inner
    anatomy: tuple[Augmentation, ...]


GOOD = {
    "steps": 3,
    "schedule": "step",
    "absent": False,
    "weights": [1, 2.5],
    "rotation_deg": [1, -2.0, 3],
    "inner": {"probability": 1, "radius_mm": [-1.0, 2]},
    "anatomy": {"fat": {"probability": 0.25, "around_mm": [1, 2]}, "lesions": {"probability": 1.0}},
}


def test_values_get_the_types_of_their_fields() -> None:
    made = from_table(Outer, GOOD, "stage1")
    assert made.weights == (1.0, 2.5)
    assert made.absent is False
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
        ({"absent": 0}, "x.absent must be true or false, not 0"),
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
        ({"inner": {"probability": float("inf"), "radius_mm": [1, 2]}}, "must be a number, not inf"),
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


def test_an_augmentation_that_is_switched_off_is_not_part_of_a_recipe(tmp_path: Path) -> None:
    """It draws no random numbers and changes no run's identity, but another recipe may switch it on in its place."""
    names = [one.name for one in load_recipe("default").stage("stage1").anatomy]  # type: ignore[attr-defined]
    assert names == ["contrast_phase", "fat", "lesions"]
    path = tmp_path / "mine.toml"
    path.write_text('extends = "default"\n[stage1.anatomy.transplant]\nprobability = 0.25\n')
    anatomy = load_recipe(path).stage("stage1").anatomy  # type: ignore[attr-defined]
    assert [one.name for one in anatomy] == ["contrast_phase", "fat", "transplant", "lesions"]
    assert anatomy[2].probability == 0.25
    assert anatomy[2].parameters["displaced_mm"] == (6.0, 16.0)
