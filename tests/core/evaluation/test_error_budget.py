from dataclasses import replace

import numpy as np
import pytest

from kidneyseg.datasets.cases import CaseFiles
from kidneyseg.errors import InputError
from kidneyseg.evaluation.end_to_end import SegmentationSpec
from kidneyseg.evaluation.error_budget import ERROR_SOURCES, CaseBudget, _filled, error_budget_of, measure_error_budget
from kidneyseg.evaluation.scores import Failure
from kidneyseg.evaluation.variants import CaseVariant
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.segmentation import networks
from kidneyseg.segmentation.pipeline import Pipeline
from kidneyseg.settings import preset
from tiny_networks import tiny_models
from volumes import abdomen


@pytest.fixture
def models(tmp_path):
    return tiny_models(tmp_path)


@pytest.fixture
def network(monkeypatch):
    """Replaces both networks: labels by HU, with `fool(stage, hu, label)` to make mistakes."""

    def install(fool=lambda stage, hu, label: label):
        def predict(model, cells, features, device, progress, note=None):
            classes = model.network.config["classes"]
            hu = 75 + 200 * features[:, 0]  # as `hu_features` scales them
            label = fool(classes - 1, hu, (hu > 100).astype(int) + (hu > 200))
            return np.eye(3, dtype=np.float16)[label.clip(max=classes - 1)][:, :classes]

        for name in ("predict", "predict_mirrored"):
            monkeypatch.setattr(networks, name, predict)

    return install


def budget(models, settings, volume=None, truth=None):
    own = abdomen()
    volume, truth = volume or own[0], own[1] if truth is None else truth
    result = Pipeline(volume, models_dir=models).run(settings)
    return error_budget_of(result, CaseVariant("box", "g", volume, truth)), result


@pytest.mark.parametrize("name", ["default", "paper"])
def test_with_perfect_networks_only_the_grid_costs_dice(models, network, name):
    network()
    measured, result = budget(models, preset(name))
    kidney, tumour = measured.classes["kidney"], measured.classes["tumour"]
    assert kidney.stage1_coverage > (0.99 if name == "default" else 0.9)
    assert kidney.remaining_dice[0] > 0.95
    assert kidney.remaining_dice[2:] == pytest.approx(kidney.remaining_dice[1:2] * 4, abs=0.02)
    assert tumour.remaining_dice[0] > 0.9
    assert tumour.stage1_dice is None
    assert len(kidney.remaining_dice) == len(tumour.remaining_dice) == len(ERROR_SOURCES)
    assert (measured.name, measured.group) == ("box", "g")
    assert np.sum(measured.stage1_confusion) == len(result.sampled)
    assert np.sum(measured.stage2_confusion) == len(result.stage2)


@pytest.mark.parametrize("name", ["default", "paper"])
def test_filling_the_kept_points_gives_the_programs_own_mask(models, network, name, monkeypatch):
    """`_filled` is the pipeline's fill: otherwise the last two error sources could not be compared."""
    monkeypatch.setattr("kidneyseg.segmentation.default.refine_lesions", lambda cloud: cloud)
    network()
    _, result = budget(models, preset(name))
    kept = result.objects if name == "paper" else result.stage2
    assert np.array_equal(_filled(kept, abdomen()[0], preset(name)), result.mask)


def test_each_mistake_is_charged_to_its_source(models, network):
    volume, truth = abdomen()
    settings = preset("default")

    def lost(fool=lambda stage, hu, label: label, changed=settings, ct=volume):
        network(fool)
        left = budget(models, changed, ct, truth)[0].classes["kidney"].remaining_dice
        return dict(zip(ERROR_SOURCES, -np.diff(left, prepend=1.0), strict=True))

    good = lost()
    # One kidney is darker than everything that is sampled.
    dark = volume.hu.copy(order="K")
    dark[:50][truth[:50] > 0] = -110
    costs = lost(ct=replace(volume, hu=dark), changed=settings.with_(sampling={"kept_percent": 20.0}))
    assert costs["sampling"] > 0.3
    assert abs(costs["missed by stage 1"]) < 0.05
    # Stage 1 misses the kidney without a tumour.
    half = volume.hu.copy(order="K")
    half[:50][truth[:50] > 0] = 120

    def misses(stage, hu, label):
        return np.where((stage == 1) & (hu < 140), 0, label)

    costs = lost(misses, ct=replace(volume, hu=half))
    assert costs["missed by stage 1"] > 0.3
    assert abs(costs["sampling"]) < 0.02
    # Stage 2 labels everything kidney.
    costs = lost(lambda stage, hu, label: np.maximum(label, stage - 1))
    assert costs["stage 2"] > good["stage 2"] + 0.1
    # Something beside the kidneys is as bright, and both networks label it kidney.
    false = volume.hu.copy(order="K")
    false[40:60, 10:20, 2:14] = 150
    costs = lost(ct=replace(volume, hu=false))
    assert costs["false detections"] > 0.03
    assert costs["DBSCAN"] < -0.03  # it is smaller than the kidneys, so the choice of two drops it
    assert abs(costs["stage 2"]) < 0.02


def test_without_a_stage1_detection(models, network):
    network(lambda stage, hu, label: label * 0)
    measured, _ = budget(models, preset("default"))
    kidney = measured.classes["kidney"]
    assert kidney.remaining_dice[1] > 0.9
    assert kidney.remaining_dice[2:] == (0.0, 0.0, 0.0, 0.0)
    assert (kidney.stage2_coverage, kidney.stage2_dice, kidney.stage1_recall) == (0.0, 0.0, 0.0)


def test_cysts_count_as_kidney_and_no_tumour_as_no_class(models, network):
    network()
    truth = abdomen()[1]
    with_cyst = np.where(truth == 2, 3, truth).astype(np.uint8)
    measured, _ = budget(models, preset("default"), truth=with_cyst)
    assert set(measured.classes) == {"kidney"}
    assert measured.stage2_confusion[2] == (0, 0, 0)


def test_labels_without_a_kidney_are_refused(models, network):
    network()
    with pytest.raises(InputError, match="the labels of box hold no kidney"):
        budget(models, preset("default"), truth=np.zeros_like(abdomen()[1]))


def test_cases_are_read_from_disk_and_failures_are_named(models, network, tmp_path):
    network()
    volume, truth = abdomen()
    case = CaseFiles("a", tmp_path / "a_ct.nii.gz", tmp_path / "a_kidney.nii.gz")
    save_volume(volume, case.image)
    save_mask(truth, volume, case.labels)
    torn = replace(case, name="b", labels=tmp_path / "b_kidney.nii.gz")
    torn.labels.write_bytes(b"torn")
    one, two = measure_error_budget([case, torn], SegmentationSpec(preset("default"), models))
    assert isinstance(one, CaseBudget)
    assert one.case == "a"
    assert isinstance(two, Failure)
    assert "b_kidney.nii.gz" in two.error
