"""The pipeline's memory, progress and cancelling, with a stand-in for the network that goes by brightness."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kidneyseg.errors import Cancelled, ModelError, OutputError, ResourceError
from kidneyseg.imaging.nifti import load_mask, save_volume
from kidneyseg.points.cloud import TUMOUR
from kidneyseg.progress import CallbackProgress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.export import export
from kidneyseg.segmentation.pipeline import STAGES, Pipeline
from kidneyseg.settings import Settings, preset
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tiny_models(tmp_path)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many points each call of the network saw; the network labels by HU: above 100 kidney, above 200 tumour."""
    seen: list[int] = []

    def by_brightness(model: Any, cells: Any, features: Any, device: Any, progress: Any, note: Any = None) -> Any:
        seen.append(len(cells))
        progress.update("network", 0.5)
        classes = model.network.config["classes"]
        hu = 75 + 200 * features[:, 0]  # as `hu_features` scales them
        label = (hu > 100).astype(int) + (hu > 200)
        return np.eye(3)[label][:, :classes].astype(np.float16) if classes == 3 else np.eye(2)[label.clip(max=1)]

    monkeypatch.setattr(networks, "predict", by_brightness)
    return seen


def dice(a: Any, b: Any) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("method", ["closing", "hull"])
def test_balls_are_found_where_they_are(models: Path, calls: list[int], method: str) -> None:
    volume, truth = abdomen()
    result = Pipeline(volume, models_dir=models).run(preset("default").with_(fill={"method": method}))
    assert dice(result.mask > 0, truth > 0) > 0.93
    assert dice(result.mask == TUMOUR, truth == TUMOUR) > 0.85
    assert [kidney.side for kidney in result.findings.kidneys] == ["right", "left"]
    assert len(result.findings.tumours) == 1
    assert result.findings.tumours[0].side == "right"
    assert set(result.timings) == set(STAGES)
    assert result.mask.flags.f_contiguous


def test_paper_runs_band_by_band(models: Path, calls: list[int]) -> None:
    volume, truth = abdomen()
    result = Pipeline(volume, models_dir=models).run(preset("paper"))
    assert len(calls) == 6  # three bands, two stages
    assert dice(result.mask > 0, truth > 0) > 0.9
    assert len(result.sampled) == sum(calls[:3])


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({}, 0),
        ({"fill": {"method": "hull"}}, 2),
        ({"fill": {"closing_mm": 4.0}}, 2),
        ({"clusters": {"eps_mm": 7.0}}, 3),
        ({"refine": {"margin_mm": 8.0}}, 4),
        ({"sampling": {"kept_percent": 60.0}}, 6),
    ],
)
def test_a_change_runs_only_what_depends_on_it(
    models: Path, calls: list[int], change: dict[str, Any], again: int
) -> None:
    pipeline = Pipeline(abdomen()[0], models_dir=models)
    first = pipeline.run(preset("default"))
    networks = len(calls)
    changed = preset("default").with_(**change)
    assert sum(not kept for kept in pipeline.is_cached(changed).values()) == again
    second = pipeline.run(changed)
    assert sum(seconds > 0 for seconds in second.timings.values()) == again
    if again <= 3:
        assert len(calls) == networks  # the networks were not asked again
        assert second.refined is first.refined
    fresh = Pipeline(abdomen()[0], models_dir=models).run(changed)
    assert np.array_equal(second.mask, fresh.mask)


def test_progress_rises_to_one_through_all_stages(models: Path, calls: list[int]) -> None:
    told: list[tuple[str, float]] = []
    Pipeline(abdomen()[0], models_dir=models).run(
        preset("default"), CallbackProgress(lambda stage, fraction: told.append((stage, fraction)))
    )
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert list(dict.fromkeys(stage for stage, _ in told)) == list(STAGES)


def test_cancel_keeps_what_was_finished(models: Path, calls: list[int]) -> None:
    pipeline = Pipeline(abdomen()[0], models_dir=models)
    stop = False

    def on_update(stage: str, _: float) -> None:
        nonlocal stop
        stop = stage == "stage 2"

    with pytest.raises(Cancelled):
        pipeline.run(preset("default"), CallbackProgress(on_update, lambda: stop))
    kept = pipeline.is_cached(preset("default"))
    assert [stage for stage in STAGES if kept[stage]] == ["sample", "stage 1"]
    stop = False
    networks = len(calls)
    assert pipeline.run(preset("default")).mask.any()
    assert len(calls) > networks


def test_no_kidneys_is_a_result_not_an_error(models: Path, calls: list[int]) -> None:
    volume, _ = abdomen()
    plain = replace(volume, hu=np.where(volume.hu > 0, 40, volume.hu).astype(np.int16))
    for name in ("default", "paper"):
        result = Pipeline(plain, models_dir=models).run(preset(name))
        assert not result.mask.any()
        assert any("No kidneys were found" in note for note in result.notes)


def test_air_alone_is_a_result_too(models: Path, calls: list[int]) -> None:
    volume, _ = abdomen()
    air = replace(volume, hu=np.full(volume.shape, -1000, np.int16, order="F"))
    result = Pipeline(air, models_dir=models).run(preset("default"))
    assert not result.mask.any()
    assert any("no patient" in note for note in result.notes)


def test_an_uncalibrated_image_says_so(models: Path, calls: list[int]) -> None:
    volume, _ = abdomen()
    result = Pipeline(replace(volume, calibrated=False), models_dir=models).run(preset("default"))
    assert "HU" in result.notes[0]


def test_real_networks_give_the_same_mask_every_time(models: Path, kernels: torch.device) -> None:
    volume, _ = abdomen()
    runs = [Pipeline(volume, device=kernels.type, models_dir=models).run(preset("default")) for _ in range(3)]
    assert np.array_equal(runs[0].mask, runs[1].mask)
    assert np.array_equal(runs[0].mask, runs[2].mask)
    assert runs[0].device == kernels.type


def test_a_network_is_cancelled_between_its_layers(models: Path, kernels: torch.device) -> None:
    reports = 0

    def on_update(*_: Any) -> None:
        nonlocal reports
        reports += 1

    pipeline = Pipeline(abdomen()[0], device=kernels.type, models_dir=models)
    with pytest.raises(Cancelled):
        pipeline.run(preset("default"), CallbackProgress(on_update, lambda: reports >= 6))
    assert not pipeline.is_cached(preset("default"))["stage 1"]
    assert pipeline.run(preset("default")).timings["stage 1"] > 0


def test_missing_networks_and_devices_say_the_mend(tmp_path: Path) -> None:
    volume, _ = abdomen()
    with pytest.raises(ModelError, match=r"missing.*kidneyseg train"):
        Pipeline(volume, models_dir=tmp_path).run(preset("default"))
    with pytest.raises(ResourceError, match="choose auto, cpu or cuda"):
        Pipeline(volume, device="abacus")
    with pytest.raises(ResourceError, match="choose auto or sparseconvnet"):
        Pipeline(volume, engine="abacus")


def test_export_writes_mask_and_sidecar(models: Path, calls: list[int], tmp_path: Path) -> None:
    volume, _ = abdomen()
    save_volume(volume, tmp_path / "ct.nii.gz")
    result = Pipeline(volume, models_dir=models).run(preset("default"))
    beside = export(result, volume, tmp_path / "out.nii.gz")
    assert np.array_equal(load_mask(tmp_path / "out.nii.gz")[0], result.mask)
    told = json.loads(beside.read_text())
    assert beside.name == "out.json"
    assert Settings.from_dict(told["settings"]) == result.settings
    assert told["models"] == list(result.model_ids)
    assert told["findings"] == json.loads(json.dumps(result.findings.to_dict()))
    assert "box" not in beside.read_text()  # a case's name may be a patient's
    with pytest.raises(OutputError):
        export(result, volume, tmp_path / "out.nii.gz", overwrite=False)
