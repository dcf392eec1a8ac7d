"""Runs from a typed specification: which stages are trained, from which networks, on which cases."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bright_ball import PLAN, BrightBall, state
from donors import donors
from kidneyseg.errors import Cancelled, InputError, SettingsError
from kidneyseg.models import Stage, load_model, model_name, save_model
from kidneyseg.progress import CallbackProgress
from kidneyseg.settings import Settings
from kidneyseg.sparse import SparseUNet
from kidneyseg.synthesis.kidney_library import KidneyLibrary
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training import context, runs
from kidneyseg.training.build import Data
from kidneyseg.training.distributed import Ranks
from kidneyseg.training.plan import RunOptions
from kidneyseg.training.recipe import Recipe
from kidneyseg.training.runs import TrainingSpec, train
from kidneyseg.training.trainer import Trainer

STAGES = (Stage.STAGE1, Stage.COARSE, Stage.STAGE2)


@dataclass
class Toy:
    """Trains toy networks in place of the recipe's, and records what it was given."""

    given: dict[Stage, dict[str, Any]] = field(default_factory=dict)

    def trainer(self, stage: Stage, _: Settings, __: Recipe, data: Data, folder: Path, **more: Any) -> Trainer:
        self.given[stage] = {"data": data, **more}
        torch.manual_seed(len(self.given))
        plan = replace(PLAN, steps=more["steps"], batch=more["batch"], norm_samples=1)
        names = [case.name for case in data.training]
        return Trainer(SparseUNet(1, 2, [4]), BrightBall(8), plan, folder, options=more["options"], cases=names)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    toy = Toy()
    monkeypatch.setattr(runs, "trainer", toy.trainer)
    return toy


@pytest.fixture
def spec(tmp_path: Path) -> TrainingSpec:
    """Three cases that nothing reads."""
    for name in "abc":
        for kind in ("ct", "kidney"):
            (tmp_path / f"{name}_{kind}.nii.gz").touch()
    return TrainingSpec(data=tmp_path, output=tmp_path / "out", device="cpu", steps=2, workers=0, insert_lesions=False)


def names(cases: object) -> list[str]:
    return [case.name for case in cases]


def test_all_stages_build_on_each_other(spec: TrainingSpec, toy: Toy) -> None:
    paths = train(replace(spec, validate=("b",)))
    assert paths == [spec.output / f"{model_name('default', stage)}.safetensors" for stage in STAGES]
    models = {stage: load_model(model_name("default", stage), spec.output) for stage in STAGES}
    given = toy.given
    assert given[Stage.STAGE1]["detector"] is given[Stage.STAGE1]["start"] is given[Stage.COARSE]["start"] is None
    for stage in (Stage.COARSE, Stage.STAGE2):
        detector = given[stage]["detector"]
        assert all(
            torch.equal(*pair) for pair in zip(state(detector), state(models[Stage.STAGE1].network), strict=True)
        )
    start = given[Stage.STAGE2]["start"]
    assert all(torch.equal(*pair) for pair in zip(state(start), state(models[Stage.COARSE].network), strict=True))
    for stage in STAGES:
        assert names(given[stage]["data"].training) == ["a", "c"]
        assert names(given[stage]["data"].validation) == ["b"]
        assert models[stage].info["trained on"] == ["a", "c"]
        assert models[stage].info["scored on"] == ["b"]
    assert [models[stage].info["grid_mm"] for stage in STAGES] == [5.0, 4.0, 2.0]
    assert models[Stage.STAGE2].info["started from"] == models[Stage.COARSE].id


def test_what_is_finished_is_kept_and_another_specification_is_refused(spec: TrainingSpec, toy: Toy) -> None:
    train(spec, Stage.STAGE1)
    toy.given.clear()
    said: list[str] = []
    train(spec, Stage.STAGE1, say=said.append)
    assert said == ["default-stage1: finished before"]
    assert not toy.given
    with pytest.raises(SettingsError, match="begun with another batch: 2, not 3; give the same arguments"):
        train(replace(spec, batch=3), Stage.STAGE1)
    with pytest.raises(SettingsError, match="begun with another training cases"):
        train(replace(spec, validate=("a",), keep="last"), Stage.STAGE1)
    (spec.data / "a_ct.nii.gz").write_text("another content")
    with pytest.raises(SettingsError, match="begun with another training cases"):
        train(spec, Stage.STAGE1)


@pytest.mark.parametrize("knowing", [Stage.STAGE1, Stage.COARSE])
def test_networks_trained_on_a_validation_case_are_refused(spec: TrainingSpec, toy: Toy, knowing: Stage) -> None:
    """Stage 2's start, and the network whose detections it is trained on, must not know what it is scored on."""
    spec.output.mkdir()
    for stage in (Stage.STAGE1, Stage.COARSE):
        cases = ["a", "b", "c"] if stage == knowing else ["a", "b"]
        path = spec.output / f"{model_name('default', stage)}.safetensors"
        save_model(SparseUNet(1, 2, [4]).arrays, path, {"trained on": cases, "grid_mm": 5.0})
    with pytest.raises(SettingsError, match=rf"default-{knowing}-\w+ was trained on c, which is to be scored"):
        train(replace(spec, validate=("c",)), Stage.STAGE2)
    assert not toy.given
    assert not (spec.output / "default-stage2").exists()


def test_stage_2_alone_says_what_it_lacks(spec: TrainingSpec, toy: Toy) -> None:
    said: list[str] = []
    train(spec, Stage.STAGE2, say=said.append)
    assert f"{spec.output} has no default-stage1: stage2 is trained on simulated detections; train it first" in said
    assert f"{spec.output} has no default-coarse: stage 2 starts from random weights; train it first" in said
    assert toy.given[Stage.STAGE2]["detector"] is toy.given[Stage.STAGE2]["start"] is None
    assert "started from" not in load_model("default-stage2", spec.output).info


def test_what_the_last_network_is_scored_on_may_change(spec: TrainingSpec, toy: Toy) -> None:
    """A fold that is scored meanwhile is the fold that cross-validation trains."""
    without = runs.fold_folder(spec.output, 1)
    train(replace(spec, output=without, validate=("b",), keep="last"), Stage.STAGE1)
    said: list[str] = []
    cases = [case for case in runs.find_labelled(spec) if case.name != "b"]
    with context.open_context(spec, scored=False, say=said.append) as own:
        runs.train_stage(Stage.STAGE1, without, cases, (), own, keep="last")
    assert said == ["default-stage1: finished before"]


def test_the_paper_s_stage_2_is_trained_on_what_stage_1_detects(spec: TrainingSpec, toy: Toy) -> None:
    said: list[str] = []
    train(replace(spec, recipe="paper"), say=said.append)
    assert list(toy.given) == [Stage.STAGE1, Stage.STAGE2]
    stage1 = load_model("paper-stage1", spec.output).network
    assert all(
        torch.equal(*pair) for pair in zip(state(toy.given[Stage.STAGE2]["detector"]), state(stage1), strict=True)
    )
    assert toy.given[Stage.STAGE1]["detector"] is toy.given[Stage.STAGE2]["start"] is None
    assert not any(" has no " in line for line in said)
    assert "grid_mm" not in load_model("paper-stage2", spec.output).info
    assert load_model("paper-stage1", spec.output).kept_probability == 0.8
    assert "kept_probability" not in load_model("paper-stage2", spec.output).info


def test_training_continues_from_other_networks(spec: TrainingSpec, toy: Toy) -> None:
    train(replace(spec, validate=("c",)))
    later = replace(spec, output=spec.data / "later", start_from=spec.output, lesions_unlabelled=frozenset("a"))
    paths = train(later)
    assert [path.stem for path in paths] == ["default-stage1", "default-stage2"]
    before, after = (load_model("default-stage2", folder) for folder in (spec.output, later.output))
    assert all(
        torch.equal(*pair) for pair in zip(state(toy.given[Stage.STAGE2]["start"]), state(before.network), strict=True)
    )
    assert (after.info["started from"], after.info["steps before"]) == (before.id, 2)
    one_case = replace(later, output=spec.data / "one", validate=("b", "c"))
    with pytest.raises(SettingsError, match="was trained on b"):
        train(one_case)


def test_a_stopped_run_continues(spec: TrainingSpec, toy: Toy) -> None:
    said: list[str] = []
    with pytest.raises(Cancelled):
        train(spec, Stage.STAGE1, progress=CallbackProgress(None, lambda: True), say=said.append)
    assert said[-1] == "stopped at step 1 of 2; the same command continues from there"
    train(spec, Stage.STAGE1, say=said.append)
    assert "continuing from step 1 of 2" in said


def test_what_is_not_there_is_named(spec: TrainingSpec, toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SettingsError, match="there is no stage coarse"):
        train(replace(spec, recipe="paper"), Stage.COARSE)
    with pytest.raises(SettingsError, match="lesions are unlabelled in x, but there is no such case"):
        train(replace(spec, lesions_unlabelled=frozenset("x")))
    with pytest.raises(InputError, match="there is no case x to validate on"):
        train(replace(spec, validate=("x",)))
    (spec.data / "a_ct.nii.gz").unlink()
    (spec.data / "a_ct.nii.gz").symlink_to(spec.data / "gone")
    with caplog.at_level(logging.INFO):
        train(spec, Stage.STAGE1)  # preparing the cases leaves an unreadable one out
    assert "default-stage1: 3 training cases, 0 validation cases, 2 steps" in caplog.text


def test_the_other_processes_say_nothing(spec: TrainingSpec, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under torchrun each of them runs the same command."""
    train(spec, Stage.STAGE1)

    @contextmanager
    def joined(_: torch.device) -> Iterator[Ranks]:
        yield SecondRank(1, 2)

    class SecondRank(Ranks):
        def from_first(self, value: Any) -> Any:
            return None if value is None else True  # the first rank says that the stage is finished

    monkeypatch.setattr(context, "joined", joined)
    said: list[str] = []
    assert train(spec, Stage.STAGE1, say=said.append) == []
    assert not said


def test_the_result_is_the_last_network_without_validation(spec: TrainingSpec, toy: Toy) -> None:
    train(spec, Stage.STAGE1)
    options: RunOptions = toy.given[Stage.STAGE1]["options"]
    assert options.keep == "last"
    train(replace(spec, output=spec.data / "scored", validate=("a",)), Stage.STAGE1)
    assert toy.given[Stage.STAGE1]["options"].keep == "best"


def test_a_recipe_of_one_s_own_is_followed(spec: TrainingSpec, toy: Toy) -> None:
    path = spec.data / "mine.toml"
    path.write_text('extends = "default"\n[stage1]\nsteps = 3\ngrid_mm = 6.0\n')
    mine = replace(spec, recipe=path, steps=None)
    train(mine, Stage.STAGE1)
    assert toy.given[Stage.STAGE1]["steps"] == 3
    assert load_model("default-stage1", spec.output).info["grid_mm"] == 6.0
    path.write_text('extends = "default"\nlearning_rate = 1e-3\n[stage1]\nsteps = 3\ngrid_mm = 6.0\n')
    with pytest.raises(
        SettingsError, match=r"another recipe: {'learning_rate': 0\.002}, not {'learning_rate': 0\.001}"
    ):
        train(replace(mine), Stage.STAGE1)
    with pytest.raises(SettingsError, match=r"trained on cells of 6\.0 mm, but the recipe has 5\.0 mm"):
        train(spec, Stage.STAGE2)


def test_a_run_depends_on_the_kidneys_that_it_transplants(
    spec: TrainingSpec, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    kidneys = [KidneyLibrary(donors())]
    monkeypatch.setattr(context, "kits_library", lambda *_: LesionLibrary.procedural(3))
    monkeypatch.setattr(context, "kits_kidneys", lambda *_: kidneys[0])
    mine = replace(spec, recipe="whole_kidneys", lesions=spec.data, insert_lesions=True)
    train(mine, Stage.STAGE1)
    kidneys[0] = KidneyLibrary(donors()[:1])
    with pytest.raises(SettingsError, match="begun with another kidneys"):
        train(mine, Stage.STAGE1)
