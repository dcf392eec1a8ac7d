"""A stage's trainer: network, plan, samples and validation as recipe and settings say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.labels import CYST, KIDNEY
from kidneyseg.models import Stage
from kidneyseg.settings import preset
from kidneyseg.sparse import SparseUNet
from kidneyseg.synthesis.lesion_library import LesionLibrary
from kidneyseg.training import build
from kidneyseg.training.band_sampler import BandSampler
from kidneyseg.training.batches import Sample
from kidneyseg.training.build import Data, trainer
from kidneyseg.training.recipe import load_recipe
from kidneyseg.training.stage1_sampler import Stage1Sampler
from kidneyseg.training.stage2_sampler import Stage2Sampler
from kidneyseg.training.trainer import Trainer
from training_cases import ByBrightness, save_case


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[CaseFiles]:
    """Two cases, "a" and "b", without tumour labels."""
    folder = tmp_path_factory.mktemp("data")
    return [save_case(folder, name, tumour=False) for name in "ab"]


def built(stage: Stage, cases: list[CaseFiles], folder: Path, recipe: str = "default", **more: Any) -> Trainer:
    """A trainer on case "a" that validates on "b"."""
    how = load_recipe(recipe)
    data = Data(
        cases[:1], cases[1:], LesionLibrary.procedural(6), LesionLibrary.procedural(6, seed=1), folder / "cache"
    )
    return trainer(stage, preset(how.method), how, data, folder / stage, **more)


@pytest.mark.parametrize(
    ("method", "stage", "sampler"),
    [
        ("default", Stage.STAGE1, Stage1Sampler),
        ("default", Stage.COARSE, Stage2Sampler),
        ("default", Stage.STAGE2, Stage2Sampler),
        ("paper", Stage.STAGE1, BandSampler),
        ("paper", Stage.STAGE2, BandSampler),
    ],
)
def test_network_plan_and_sampler_are_the_recipes(
    method: str, stage: Stage, sampler: type, cases: list[CaseFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[list[str]] = []
    for name in ("validator", "iou_validator"):
        monkeypatch.setattr(build, name, lambda samples, names: scored.append([len(samples), *names]))
    work, how = built(stage, cases, tmp_path, method, seed=4), load_recipe(method).stage(stage)
    assert isinstance(work.loader.sampler, sampler)
    assert work.plan == how
    assert work.loader.seed == 4
    config = work.network.config
    assert (config["in_channels"], tuple(config["planes"])) == (how.channels, how.planes)
    assert config["classes"] == len(how.class_weights)
    assert work.cases == ("a",)
    assert {work.loader.draw(0, number, 0).case for number in range(6)} == {"a"}, "never the validation case"
    expected = ["tissue", "kidney", "tumour"][: len(how.class_weights)]
    assert [one[1:] for one in scored] == [expected if method == "paper" else expected[1:]]
    assert (scored[0][0] > 0) == ((method, stage) != ("paper", Stage.STAGE2)), "it needs stage 1's detections"  # type: ignore[operator]


def test_steps_and_batch_can_be_given(cases: list[CaseFiles], tmp_path: Path) -> None:
    work = built(Stage.STAGE2, cases, tmp_path, steps=7, batch=3)
    assert (work.plan.steps, work.plan.batch) == (7, 3)
    sampler = work.loader.sampler
    assert isinstance(sampler, Stage2Sampler)
    assert sampler.recipe.batch == 3, "variants are replaced by samples, not by steps"
    assert sampler.margin_mm == preset("default").stage2.margin_mm  # type: ignore[union-attr]


def test_stage_2_trains_on_the_detectors_detections(cases: list[CaseFiles], tmp_path: Path) -> None:
    with_one, without = (
        built(Stage.COARSE, cases, tmp_path / str(n), detector=detector).loader.sampler
        for n, detector in enumerate((ByBrightness(100.0), None))
    )
    assert all(len(crop.detections) == 8 for crop in with_one.crops)  # type: ignore[attr-defined]
    assert all(len(crop.detections) == 0 for crop in without.crops)  # type: ignore[attr-defined]
    whole = load_recipe("default").stage(Stage.STAGE1)
    assert {crop.detection_mm for crop in with_one.crops} == {whole.grid_mm}  # type: ignore[attr-defined]


def test_the_paper_s_stage_2_is_trained_and_validated_on_what_stage_1_detects(
    cases: list[CaseFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(build, "iou_validator", lambda samples, names: shown.append(samples))
    everything = sure_of_kidney()
    for detector, expected in ((everything, 0.1 * 100 * 80 * 30), (None, 0)):
        work = built(Stage.STAGE2, cases, tmp_path / str(expected), "paper", detector=detector)
        sampler = work.loader.sampler
        assert isinstance(sampler, BandSampler)
        assert sampler.detector is detector
        assert sum(len(sample.cells) for sample in shown.pop()) >= expected
    stage1 = built(Stage.STAGE1, cases, tmp_path, "paper", detector=everything).loader.sampler
    assert stage1.detector is None  # type: ignore[attr-defined]


def sure_of_kidney() -> SparseUNet:
    """A stage 1 of the paper's layout that detects every point."""
    network = SparseUNet(3, 2, list(load_recipe("paper").stage("stage1").planes)).eval()
    with torch.no_grad():
        network.get_submodule("linear").bias.copy_(torch.tensor([0.0, 99.0]))
    return network


def test_a_network_starts_from_another_of_its_layout(cases: list[CaseFiles], tmp_path: Path) -> None:
    first = built(Stage.COARSE, cases, tmp_path, seed=1).network
    second = built(Stage.STAGE2, cases, tmp_path, seed=2, start=first).network
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(SettingsError, match="the network to start from has the layout"):
        built(Stage.STAGE1, cases, tmp_path, start=first)


def test_a_network_that_lacks_cysts_starts_with_calling_them_as_likely_as_kidney(
    cases: list[CaseFiles], tmp_path: Path
) -> None:
    three = built(Stage.STAGE2, cases, tmp_path, seed=1).network.eval()
    four = built(Stage.STAGE2, cases, tmp_path, "whole_kidneys", seed=2, start=three).network.eval()
    cells, features = torch.tensor([[0, 0, 0], [0, 0, 1], [3, 4, 5]]), torch.rand(3, 2)
    with torch.no_grad():
        before, after = three(cells, features), four(cells, features)
    assert after.shape == (3, 4)
    torch.testing.assert_close(after[:, :3], before)
    torch.testing.assert_close(after[:, CYST], before[:, KIDNEY])
    with pytest.raises(SettingsError, match="the network to start from has the layout"):
        built(Stage.STAGE2, cases, tmp_path, start=four)


def test_a_recipe_of_another_method_or_without_the_stage_is_refused(cases: list[CaseFiles], tmp_path: Path) -> None:
    data = Data(cases[:1], (), None, None, tmp_path)
    with pytest.raises(SettingsError, match="the recipe paper is for the method paper, not default"):
        trainer(Stage.STAGE1, preset("default"), load_recipe("paper"), data, tmp_path / "run")
    with pytest.raises(SettingsError, match="has no stage coarse"):
        built(Stage.COARSE, cases, tmp_path, "paper")
    mixed = replace(load_recipe("paper"), method="default")
    with pytest.raises(SettingsError, match="the method default has no intensity bands"):
        trainer(Stage.STAGE1, preset("default"), mixed, data, tmp_path / "run")


def test_phantoms_are_trained_on_besides(
    cases: list[CaseFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, str, int]] = []
    small = build.make_phantom

    def noting(seed: int, *, phase: Any, tumours: int) -> Any:
        made.append((seed - build.SAMPLE_SEED, phase, tumours))
        return small(seed, (60, 60, 20), (6.0, 6.0, 12.0), phase=phase, tumours=tumours)

    monkeypatch.setattr(build, "make_phantom", noting)
    data = Data(cases[:1], (), None, None, tmp_path / "cache", phantoms=5)
    work = trainer(Stage.STAGE1, preset("default"), load_recipe("default"), data, tmp_path / "run")
    sampler = work.loader.sampler
    assert isinstance(sampler, Stage1Sampler)
    assert len(sampler.grids) == 6
    phases = ["portal", "arterial", "noncontrast", "excretory", "portal"]
    assert made == [(n, phase, 1 + n % 2) for n, phase in enumerate(phases)]


def test_a_band_that_does_not_fit_into_memory_is_not_scored(
    cases: list[CaseFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, tried = build.shown_to_stage2, []

    def shown(sample: Sample, detector: SparseUNet, kept_probability: float) -> Sample:
        tried.append(sample)
        if len(tried) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(sample, detector, kept_probability)

    scored: list[int] = []
    monkeypatch.setattr(build, "shown_to_stage2", shown)
    monkeypatch.setattr(build, "iou_validator", lambda samples, _names: scored.append(len(samples)))
    built(Stage.STAGE2, cases, tmp_path, "paper", detector=SparseUNet(3, 2, [4]).eval())
    assert scored[0] < len(tried)
    assert f"b: out of memory with {len(tried[1].cells)} points; it is not scored" in caplog.text
