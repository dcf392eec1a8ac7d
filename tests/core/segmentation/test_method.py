"""A new method is one class and one registration."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kidneyseg import settings as settings_module
from kidneyseg.errors import SettingsError
from kidneyseg.imaging.labels import KIDNEY
from kidneyseg.points.cloud import PointCloud
from kidneyseg.segmentation import method as method_module
from kidneyseg.segmentation.method import Context, Objects, method, register, unite
from kidneyseg.segmentation.paper import Paper
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import BandSettings, CountClusterSettings, FillSettings, Settings, preset
from tiny_networks import tiny_models
from volumes import abdomen


class Bright(Paper):
    """Calls the brightest voxels kidney."""

    name = "bright"

    def stage1(self, context: Context, samples: list[PointCloud]) -> list[PointCloud]:
        return [replace(cloud, labels=np.full(len(cloud), KIDNEY, np.uint8)) for cloud in samples]

    def stage2(self, context: Context, detections: list[PointCloud]) -> PointCloud:
        return unite(detections)

    def cluster(self, context: Context, cloud: PointCloud) -> Objects:
        return cloud, np.zeros(len(cloud), np.int32)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_module, "METHODS", dict(method_module.METHODS))
    monkeypatch.setattr(settings_module, "PRESETS", dict(settings_module.PRESETS))
    monkeypatch.setattr(method_module, "PRESETS", settings_module.PRESETS)
    register(Bright(), sampling=BandSettings(4.0), clusters=CountClusterSettings(), fill=FillSettings())


@pytest.mark.usefixtures("registered")
def test_a_registered_method_runs_by_its_name(tmp_path: Path) -> None:
    tiny_models(tmp_path)
    for stage in (1, 2):
        shutil.copy(tmp_path / f"paper-stage{stage}.safetensors", tmp_path / f"bright-stage{stage}.safetensors")
    settings = Settings.from_json(preset("bright").to_json())
    volume, truth = abdomen()
    pipeline = Pipeline(volume, models_dir=tmp_path)
    pipeline.run(Settings("paper", settings.sampling, settings.clusters, settings.fill))
    kept = dict(pipeline._kept)
    result = pipeline.run(settings)
    assert all(pipeline._kept[stage] is not kept[stage] for stage in kept), "nothing of another method may be kept"
    assert all(name.startswith("bright-") for name in result.model_ids)
    assert (result.mask > 0)[truth > 0].mean() > 0.5
    with pytest.raises(SettingsError, match=r"the method bright has no setting .*default has it"):
        settings.with_(stage2={"margin_mm": 1.0})


def test_an_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="there is no method magic; choose default or paper"):
        method("magic")
