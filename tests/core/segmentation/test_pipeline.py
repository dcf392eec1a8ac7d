"""The pipeline's memory, progress and cancelling, with a stand-in for the network that goes by brightness."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kidneyseg.errors import Cancelled, ModelError, ResourceError
from kidneyseg.imaging.labels import TUMOUR
from kidneyseg.models import save_model
from kidneyseg.progress import CallbackProgress
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.default import Default
from kidneyseg.segmentation.method import Context
from kidneyseg.segmentation.pipeline import STAGES, Pipeline
from kidneyseg.settings import preset
from kidneyseg.sparse import SparseUNet
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

    for name in ("predict", "predict_mirrored"):
        monkeypatch.setattr(networks, name, by_brightness)
    return seen


def dice(a: Any, b: Any) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def computed(pipeline: Pipeline, before: dict[str, Any]) -> list[str]:
    """The stages whose kept output is not the one of `before`, a copy of what was kept."""
    return [stage for stage in STAGES if pipeline._kept[stage] is not before.get(stage)]


@pytest.mark.parametrize("algorithm", ["closing", "hull"])
def test_balls_are_found_where_they_are(models: Path, calls: list[int], algorithm: str) -> None:
    volume, truth = abdomen()
    result = Pipeline(volume, models_dir=models).run(preset("default").with_(fill={"algorithm": algorithm}))
    assert dice(result.mask > 0, truth > 0) > 0.93
    assert dice(result.mask == TUMOUR, truth == TUMOUR) > 0.85
    assert [kidney.side for kidney in result.findings.kidneys] == ["right", "left"]
    assert len(result.findings.tumours) == 1
    assert result.findings.tumours[0].side == "right"
    assert result.findings.tumours[0].confidence is not None
    assert set(result.timings) == set(STAGES)
    assert result.mask.flags.f_contiguous


def test_paper_runs_band_by_band(models: Path, calls: list[int]) -> None:
    volume, truth = abdomen()
    result = Pipeline(volume, models_dir=models).run(preset("paper"))
    assert len(calls) == 6  # three bands, two stages
    assert dice(result.mask > 0, truth > 0) > 0.9
    assert len(result.sampled) == sum(calls[:3])
    assert [tumour.confidence for tumour in result.findings.tumours] == [None]  # the model was fitted to the default


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({}, 0),
        ({"fill": {"algorithm": "hull"}}, 2),
        ({"fill": {"closing_mm": 4.0}}, 2),
        ({"clusters": {"eps_mm": 7.0}}, 3),
        ({"stage2": {"margin_mm": 8.0}}, 4),
        ({"sampling": {"kept_percent": 60.0}}, 6),
    ],
)
def test_a_change_runs_only_what_depends_on_it(
    models: Path, calls: list[int], change: dict[str, Any], again: int
) -> None:
    pipeline = Pipeline(abdomen()[0], models_dir=models)
    first = pipeline.run(preset("default"))
    networks, kept = len(calls), dict(pipeline._kept)
    changed = preset("default").with_(**change)
    second = pipeline.run(changed)
    assert computed(pipeline, kept) == list(STAGES[6 - again :])
    for stage in STAGES[: 6 - again]:  # a sidecar tells how long the remembered stages took, too
        assert second.timings[stage] == first.timings[stage] > 0
    assert second.settings == changed
    if again <= 3:
        assert len(calls) == networks, "a network ran again"
        assert second.stage2 is first.stage2
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
    stop, kept = False, dict(pipeline._kept)
    result = pipeline.run(preset("default"))
    assert result.mask.any()
    assert computed(pipeline, kept) == list(STAGES[2:])
    assert all(result.timings[stage] > 0 for stage in STAGES)


def test_another_ct_is_segmented_by_the_same_networks(models: Path, calls: list[int]) -> None:
    first = Pipeline(abdomen()[0], device="cpu", models_dir=models)
    first.run(preset("default"))
    other, truth = abdomen()
    other.hu[...] = other.hu[::-1]
    second = first.for_volume(other)
    result = second.run(preset("default"))
    assert second.networks_of("default") is first.networks_of("default")
    assert second.device == first.device
    assert dice(result.mask > 0, truth[::-1] > 0) > 0.9
    assert first.run(preset("default")).mask.any()


def test_no_kidneys_is_a_result_not_an_error(models: Path, calls: list[int]) -> None:
    volume, _ = abdomen()
    plain = replace(volume, hu=np.where(volume.hu > 0, 40, volume.hu).astype(np.int16))
    for name in ("default", "paper"):
        result = Pipeline(plain, models_dir=models).run(preset(name))
        assert not result.mask.any()
        assert any("No kidneys were found" in note for note in result.notes)


@pytest.mark.parametrize(
    ("name", "clusters", "words"),
    [
        ("default", {"eps_mm": 0.5, "core_share": 1.0}, "lower the core share"),
        ("paper", {"min_samples": 9999}, "lower min samples"),
    ],
)
def test_kidneys_that_dbscan_removed_are_not_called_unfound(
    models: Path, calls: list[int], name: str, clusters: dict[str, Any], words: str
) -> None:
    result = Pipeline(abdomen()[0], models_dir=models).run(preset(name).with_(clusters=clusters))
    assert not result.mask.any()
    assert any(note.startswith("DBSCAN removed all kidney points") and words in note for note in result.notes)
    assert not any("No kidneys were found" in note for note in result.notes)


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
    assert pipeline.run(preset("default")).timings["stage 1"] > 0


def test_missing_networks_and_devices_say_the_mend(tmp_path: Path) -> None:
    volume, _ = abdomen()
    with pytest.raises(ModelError, match=r"missing.*kidneyseg train"):
        Pipeline(volume, models_dir=tmp_path).run(preset("default"))
    with pytest.raises(ResourceError, match="choose auto, cpu or cuda"):
        Pipeline(volume, device="abacus")
    with pytest.raises(ResourceError, match="choose auto or sparseconvnet"):
        Pipeline(volume, backend="abacus")


def test_methods_are_never_mixed(models: Path, calls: list[int]) -> None:
    pipeline = Pipeline(abdomen()[0], models_dir=models)
    for name in ("default", "paper", "default"):
        kept = dict(pipeline._kept)
        result = pipeline.run(preset(name))
        assert all(model.startswith(name) for model in result.model_ids)
        assert computed(pipeline, kept) == list(STAGES), "of the other method nothing can be kept"
        fresh = Pipeline(abdomen()[0], models_dir=models).run(preset(name))
        assert np.array_equal(result.mask, fresh.mask)


def test_the_notes_of_a_stage_stay_with_its_result(
    models: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Default.stage1

    def noting(self: Default, context: Context, samples: Any) -> Any:
        context.note("read as lying prone")
        context.note("read as lying prone")
        return real(self, context, samples)

    monkeypatch.setattr(Default, "stage1", noting)
    pipeline = Pipeline(abdomen()[0], models_dir=models)
    for settings in (preset("default"), preset("default").with_(clusters={"eps_mm": 7.0})):
        assert pipeline.run(settings).notes.count("read as lying prone") == 1
    assert "read as lying prone" not in pipeline.run(preset("paper")).notes


@pytest.mark.parametrize(
    ("name", "layout", "says"),
    [
        ("default-stage1", (1, 2, None), "default: its file does not say on what grid it was trained"),
        ("default-stage1", (1, 2, 25.0), "cells of 25 mm, not 1 to 10 mm"),
        ("default-stage1", (3, 2, 5.0), "3 input channels, not 1"),
        ("default-stage2", (1, 3, 2.0), "1 input channels, not 2"),
        ("default-stage2", (2, 2, 2.0), "2 classes apart, not 3"),
        ("default-stage2", (2, 3, 5.0), "finer cells than stage 1's, 5 mm"),
        ("paper-stage1", (3, 2, 5.0), "paper: it was trained on cells of 5 mm"),
        ("paper-stage2", (2, 3, None), "2 input channels, not 3"),
    ],
)
def test_networks_that_do_not_fit_are_refused(
    models: Path, name: str, layout: tuple[int, int, float | None], says: str
) -> None:
    channels, classes, grid_mm = layout
    info = {} if grid_mm is None else {"grid_mm": grid_mm}
    save_model(SparseUNet(channels, classes, [4, 4]).arrays, models / f"{name}.safetensors", info)
    pipeline = Pipeline(abdomen()[0], models_dir=models)
    for _ in range(2):
        with pytest.raises(ModelError, match=rf"^{name}-[0-9a-f]{{8}} does not fit.*{says}"):
            pipeline.run(preset(name.partition("-")[0]))


def test_stage1_and_stage2_run_on_their_networks_grids(models: Path, calls: list[int]) -> None:
    save_model(SparseUNet(1, 2, [4, 4]).arrays, models / "default-stage1.safetensors", {"grid_mm": 4})
    save_model(SparseUNet(2, 3, [4, 4]).arrays, models / "default-stage2.safetensors", {"grid_mm": 2.5})
    result = Pipeline(abdomen()[0], models_dir=models).run(preset("default"))
    assert (result.sampled.lattice.step_mm, result.stage2.lattice.step_mm) == ((4.0,) * 3, (2.5,) * 3)
    assert result.mask.any()
