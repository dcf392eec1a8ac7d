"""What the stages of a run share."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from donors import donors
from kidneyseg.errors import InputError, SettingsError
from kidneyseg.models import Stage
from kidneyseg.progress import CallbackProgress
from kidneyseg.synthesis.kidney_library import KidneyLibrary
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training import context as module
from kidneyseg.training.context import TrainingSpec, open_context


@pytest.fixture(autouse=True)
def few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LesionLibrary, "procedural", staticmethod(partial(LesionLibrary.procedural, 5)))


def spec(folder: Path, **more: object) -> TrainingSpec:
    return TrainingSpec(data=folder, output=folder, device="cpu", **more)


def test_procedural_shapes_to_train_and_to_score_with_differ(tmp_path: Path) -> None:
    with open_context(spec(tmp_path), scored=True) as context:
        assert context.lesions is not None
        assert context.held_out_lesions is not None
        train, score = context.lesions.key, context.held_out_lesions.key
        assert train != score
    with open_context(spec(tmp_path, seed=1), scored=True) as context:
        assert context.lesions is not None
        assert context.held_out_lesions is not None
        assert context.lesions.key not in (train, score)
        assert context.held_out_lesions.key == score
    with open_context(spec(tmp_path, insert_lesions=False), scored=True) as context:
        assert context.lesions is context.held_out_lesions is None


def test_a_library_without_a_shape_to_score_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_no_case = LesionLibrary.procedural(seed=0)
    monkeypatch.setattr(module, "kits_library", lambda *_: of_no_case)
    with open_context(spec(tmp_path, lesions=tmp_path), scored=False) as context:
        assert context.lesions is not None
        assert context.lesions.lesions
        assert context.held_out_lesions is not None
        assert not context.held_out_lesions.lesions
    with (
        pytest.raises(InputError, match="whose number is divisible by 5, as needed to score with"),
        open_context(spec(tmp_path, lesions=tmp_path), scored=True),
    ):
        pass


def test_options_follow_the_specification(tmp_path: Path) -> None:
    asked = spec(tmp_path, workers=3, precision="bf16", checkpoint_every=7)
    progress, lines = CallbackProgress(), []
    with open_context(asked, scored=False, progress=progress, say=lines.append) as context:
        options = context.options("last")
        context.say("line")
    assert (options.workers, options.precision, options.checkpoint_every, options.keep) == (3, "bf16", 7, "last")
    assert options.device.type == "cpu"
    assert context.progress is progress
    assert lines == ["line"]


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


def test_a_recipe_that_transplants_gets_whole_kidneys_of_the_same_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = LesionLibrary.procedural(seed=0)
    kidneys = KidneyLibrary((donors()[0], replace(donors()[1], case=5)))
    monkeypatch.setattr(module, "kits_library", lambda *_: shapes)
    monkeypatch.setattr(module, "kits_kidneys", lambda *_: kidneys)
    with open_context(spec(tmp_path, lesions=tmp_path, recipe="whole_kidneys"), scored=False) as context:
        for half, case in ((context.lesions, 3), (context.held_out_lesions, 5)):
            assert half is not None
            assert half.kidneys is not None
            assert [one.case for one in half.kidneys.kidneys] == [case]
    with open_context(spec(tmp_path, lesions=tmp_path), scored=False) as context:
        assert context.lesions is not None
        assert context.lesions.kidneys is None
    for without in ({}, {"insert_lesions": False}):
        with (
            pytest.raises(SettingsError, match="--lesions"),
            open_context(spec(tmp_path, recipe="whole_kidneys", **without), scored=False),
        ):
            pass
